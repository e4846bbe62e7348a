package report_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// element is any element of an SVG.
type element struct {
	XMLName  xml.Name   `xml:""`
	Attrs    []xml.Attr `xml:",any,attr"`
	Text     string     `xml:",chardata"`
	Children []element  `xml:",any"`
}

func (e element) attr(name string) string {
	for _, a := range e.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (e element) number(t *testing.T, name string) float64 {
	t.Helper()
	value, err := strconv.ParseFloat(e.attr(name), 64)
	if err != nil {
		t.Fatalf("%s of <%s>: %v", name, e.XMLName.Local, err)
	}
	return value
}

// all returns the elements of a name below e, those in groups too.
func (e element) all(name string) []element {
	var found []element
	for _, child := range e.Children {
		if child.XMLName.Local == name {
			found = append(found, child)
		}
		found = append(found, child.all(name)...)
	}
	return found
}

// subject returns the group of a subject's line.
func (e element) subject(t *testing.T, name string) element {
	t.Helper()
	for _, g := range e.all("g") {
		if g.attr("data-subject") == name {
			return g
		}
	}
	t.Fatalf("no line of %s", name)
	return element{}
}

// label returns the text element of that text.
func (e element) label(t *testing.T, text string) element {
	t.Helper()
	for _, label := range e.all("text") {
		if label.Text == text {
			return label
		}
	}
	t.Fatalf("no text %q", text)
	return element{}
}

type at struct{ X, Y float64 }

func markers(t *testing.T, group element) []at {
	t.Helper()
	var spots []at
	for _, path := range group.all("path") {
		var spot at
		if _, err := fmt.Sscanf(path.attr("transform"), "translate(%g %g)", &spot.X, &spot.Y); err != nil {
			t.Fatalf("%s: %v", path.attr("transform"), err)
		}
		spots = append(spots, spot)
	}
	return spots
}

func vertices(t *testing.T, polyline element) []at {
	t.Helper()
	var spots []at
	for pair := range strings.FieldsSeq(polyline.attr("points")) {
		var spot at
		if _, err := fmt.Sscanf(pair, "%g,%g", &spot.X, &spot.Y); err != nil {
			t.Fatalf("%s: %v", pair, err)
		}
		spots = append(spots, spot)
	}
	return spots
}

// parse also checks what holds for every plot.
func parse(t *testing.T, svg []byte) element {
	t.Helper()
	if bytes.ContainsFunc(svg, func(r rune) bool { return r >= 0x80 }) {
		t.Error("not all ASCII")
	}
	if bytes.Contains(svg, []byte("NaN")) || bytes.Contains(svg, []byte("Inf")) {
		t.Error("a coordinate is no number")
	}
	var root element
	decoder := xml.NewDecoder(bytes.NewReader(svg))
	if err := decoder.Decode(&root); err != nil {
		t.Fatal(err)
	}
	if rest := bytes.TrimSpace(svg[decoder.InputOffset():]); len(rest) != 0 {
		t.Errorf("more than one root element: %q", rest)
	}
	if root.XMLName.Space != "http://www.w3.org/2000/svg" || root.XMLName.Local != "svg" {
		t.Errorf("the root is %v", root.XMLName)
	}
	if want := "0 0 " + root.attr("width") + " " + root.attr("height"); root.attr("viewBox") != want {
		t.Errorf("the view box is %q, want %q", root.attr("viewBox"), want)
	}
	for _, name := range []string{"title", "desc"} {
		i := slices.IndexFunc(root.Children, func(e element) bool { return e.XMLName.Local == name })
		if i < 0 || root.Children[i].Text == "" {
			t.Errorf("no <%s>", name)
		}
	}
	for _, group := range root.all("g") {
		for _, spot := range markers(t, group) {
			if spot.X < 0 || spot.X > root.number(t, "width") || spot.Y < 0 || spot.Y > root.number(t, "height") {
				t.Errorf("a marker of %s is outside, at %v", group.attr("data-subject"), spot)
			}
		}
	}
	return root
}
