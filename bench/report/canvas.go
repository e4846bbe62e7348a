package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	ink      = "#1f2328"
	softInk  = "#59636e"
	gridInk  = "#e3e7eb"
	fontSize = 13
	// fontFamily names what each system calls its own sans-serif, as an SVG shown as an image can load no font.
	fontFamily = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', Arial, sans-serif"
)

// anchor says which end of a text its position is.
type anchor string

const (
	start  anchor = "start"
	middle anchor = "middle"
	end    anchor = "end"
)

type spot struct{ x, y float64 }

// canvas collects the elements of one SVG. Presentation attributes are used throughout, as not every viewer reads a
// style sheet.
type canvas struct {
	buf bytes.Buffer
}

// newCanvas opens an SVG with a white ground of its own, so that it reads the same on a dark page.
func newCanvas(width, height float64, title, description string) *canvas {
	c := &canvas{}
	c.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]s %[2]s" width="%[1]s" height="%[2]s" `+
		`role="img" aria-labelledby="title desc" font-family="%[3]s" font-size="%[4]d">`+"\n",
		pixel(width), pixel(height), fontFamily, fontSize)
	c.printf("<title id=\"title\">%s</title>\n<desc id=\"desc\">%s</desc>\n", escape(title), escape(description))
	c.printf(`<rect width="%s" height="%s" rx="6" fill="#ffffff"/>`+"\n", pixel(width), pixel(height))
	return c
}

// writeTo closes the SVG and writes it in one piece, so that an error found while drawing leaves nothing half written.
func (c *canvas) writeTo(w io.Writer) error {
	c.printf("</svg>\n")
	if _, err := w.Write(c.buf.Bytes()); err != nil {
		return fmt.Errorf("write SVG: %w", err)
	}
	return nil
}

func (c *canvas) printf(format string, args ...any) {
	fmt.Fprintf(&c.buf, format, args...)
}

func (c *canvas) line(from, to spot, colour string) {
	c.printf(`<line x1="%s" y1="%s" x2="%s" y2="%s" stroke="%s"/>`+"\n",
		pixel(from.x), pixel(from.y), pixel(to.x), pixel(to.y), colour)
}

func (c *canvas) polyline(spots []spot, colour, extra string) {
	var points []string
	for _, s := range spots {
		points = append(points, pixel(s.x)+","+pixel(s.y))
	}
	c.printf(`<polyline points="%s" fill="none" stroke="%s" stroke-linejoin="round" %s/>`+"\n",
		strings.Join(points, " "), colour, extra)
}

// marker draws a shape around a spot; viewers show the title when it is pointed at.
func (c *canvas) marker(at spot, look style, title string) {
	c.printf(`<path transform="translate(%s %s)" d="%s" fill="%s" stroke="#ffffff"><title>%s</title></path>`+"\n",
		pixel(at.x), pixel(at.y), look.shape, look.colour, escape(title))
}

func (c *canvas) text(at spot, from anchor, colour, text string) {
	c.printf(`<text x="%s" y="%s" text-anchor="%s" fill="%s">%s</text>`+"\n",
		pixel(at.x), pixel(at.y), from, colour, escape(text))
}

func (c *canvas) heading(at spot, size int, text string) {
	c.printf(`<text x="%s" y="%s" fill="%s" font-size="%d" font-weight="600">%s</text>`+"\n",
		pixel(at.x), pixel(at.y), ink, size, escape(text))
}

// note writes a line of small print, if there is any.
func (c *canvas) note(y float64, text string) {
	if text != "" {
		c.text(spot{24, y}, start, softInk, text)
	}
}

// upright writes a text that reads from the bottom to the top, centred at the spot.
func (c *canvas) upright(at spot, text string) {
	c.printf(`<text transform="translate(%s %s) rotate(-90)" text-anchor="middle" fill="%s">%s</text>`+"\n",
		pixel(at.x), pixel(at.y), softInk, escape(text))
}

// pixel writes a coordinate to a tenth of a pixel, which hides how platforms differ in the last bits of a float.
func pixel(value float64) string {
	text := strings.TrimSuffix(strconv.FormatFloat(value, 'f', 1, 64), ".0")
	if text == "-0" {
		return "0"
	}
	return text
}

// escape leaves nothing but ASCII, so that no server's or viewer's idea of the encoding can spoil a text.
func escape(text string) string {
	var marked bytes.Buffer
	// Writing to a buffer cannot fail.
	_ = xml.EscapeText(&marked, []byte(text))
	var plain strings.Builder
	for _, r := range marked.String() {
		if r < 0x80 {
			plain.WriteRune(r)
		} else {
			fmt.Fprintf(&plain, "&#x%X;", r)
		}
	}
	return plain.String()
}

// textWidth estimates how wide a text is, on the generous side as the font is the viewer's.
func textWidth(text string) float64 {
	return 0.56 * fontSize * float64(len([]rune(text)))
}
