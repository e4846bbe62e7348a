package report

// Plots are the plots that the results give, by file name.
func Plots([]Result) map[string]string { return nil }
