package main

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/sandpool/sandpool/internal/quote"
)

const pageSize = 64 << 10

// text is the report for people.
func (r *report) text() []byte {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row(w, "", "module", r.Module)
	row(w, "", "digest", r.Digest)
	if r.SignedBy != "" {
		row(w, "", "signed", "by "+r.SignedBy)
	}
	row(w, "", "size", sizeText(r.Size)+", of which code "+sizeText(r.CodeSize))
	row(w, "", "memory", r.Memory.text())
	row(w, "", "features", cmp.Or(strings.Join(r.Features, ", "), "none beyond WebAssembly 2.0"))
	row(w, "", "needs", cmp.Or(r.needs(), "nothing"))
	if len(r.Custom) > 0 {
		row(w, "", "custom", strings.Join(r.Custom, ", "))
	}
	if r.SDK != "" {
		row(w, "", "sdk", r.SDK)
	}
	if r.Command {
		row(w, "", "runnable", "yes, as a command: sandpool run MODULE -- ARG...")
	} else if r.Runnable {
		row(w, "", "runnable", "yes")
		if start := r.start(); start != "" {
			row(w, "", "start", start)
		}
	} else {
		row(w, "", "runnable", "no: "+r.Reason)
	}
	_ = w.Flush() // a Buffer takes everything, here and below
	r.functionsText(&b)
	r.importsText(&b)
	if len(r.Exports) > 0 {
		fmt.Fprintf(&b, "\nexports (%d)\n", len(r.Exports))
		table(&b, "  ", r.Exports)
	}
	return b.Bytes()
}

// start says how calls get their instances, if that is known.
func (r *report) start() string {
	switch {
	case r.Fallback == "":
		return r.Start
	case r.Start == "":
		return "no snapshot: " + r.Fallback
	default:
		return r.Start + ": " + r.Fallback
	}
}

func (r *report) functionsText(b *bytes.Buffer) {
	if r.Funcs == nil {
		return
	}
	fmt.Fprintf(b, "\nfunctions (%d)\n", len(*r.Funcs))
	signatures(b, *r.Funcs)
	if len(r.Host) > 0 {
		fmt.Fprintf(b, "\nhost functions it calls (%d)\n", len(r.Host))
		signatures(b, r.Host)
	}
}

func signatures(b *bytes.Buffer, list []signed) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, f := range list {
		row(w, "  ", f.Name, f.In+" -> "+f.Out)
	}
	_ = w.Flush()
}

func (r *report) importsText(b *bytes.Buffer) {
	if len(r.Imports) == 0 {
		return
	}
	fmt.Fprintf(b, "\nimports (%d)\n", len(r.Imports))
	for _, g := range r.groups() {
		fmt.Fprintf(b, "  %s\n", cell(g.module))
		table(b, "    ", g.imports)
	}
}

// A group is what is imported from one module.
type group struct {
	module  string
	imports []symbol
}

// groups returns the imports by module, in order of appearance.
func (r *report) groups() []*group {
	var groups []*group
	known := make(map[string]*group)
	for _, im := range r.Imports {
		g := known[im.Module]
		if g == nil {
			g = &group{module: im.Module}
			known[im.Module] = g
			groups = append(groups, g)
		}
		g.imports = append(g.imports, im)
	}
	return groups
}

// needs sums up what a host has to offer.
func (r *report) needs() string {
	const most = 8
	var needs []string
	for i, g := range r.groups() {
		if i == most {
			needs = append(needs, "…")
			break
		}
		needs = append(needs, fmt.Sprintf("%s (%s)", shorten(g.module), count(len(g.imports), "import")))
	}
	return strings.Join(needs, ", ")
}

func (m *memory) text() string {
	if m == nil {
		return "none"
	}
	s := pagesText(m.MinPages) + " at the start, "
	if m.MaxPages == nil {
		return s + "no maximum declared"
	}
	return s + "at most " + pagesText(*m.MaxPages)
}

func pagesText(n uint64) string {
	return fmt.Sprintf("%s (%s)", count(int(n), "page"), bytesText(n*pageSize))
}

func sizeText(n int) string {
	if n < 1<<10 {
		return count(n, "byte")
	}
	return fmt.Sprintf("%s (%d bytes)", bytesText(uint64(n)), n)
}

func table(b *bytes.Buffer, indent string, symbols []symbol) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, s := range symbols {
		row(w, indent, cmp.Or(s.Name, `""`), strings.TrimSpace(s.Kind+" "+s.Type))
	}
	_ = w.Flush()
}

// row writes one line of untrusted cells. The first sets the width of its column
// in all rows, so it is bounded.
func row(w *tabwriter.Writer, indent, name, text string) {
	fmt.Fprintf(w, "%s%s\t%s\n", indent, cell(shorten(name)), cell(text))
}

// cell escapes tabs too, which would begin another column.
func cell(s string) string { return quote.Escape(s, "") }
