package wasmworker_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sandpool/sandpool/internal/benchtest"
	"github.com/sandpool/sandpool/startmethod"
)

// Targets of the start methods.
const (
	mostOnePage = 3 * time.Microsecond
	mostAdded   = time.Microsecond
	mostClone   = 100 << 10
)

// A startReport is what BenchmarkStart has found.
type startReport struct {
	Machine    benchtest.Machine `json:"machine"`
	Began      time.Time         `json:"began"`
	Took       time.Duration     `json:"took_ns"`
	LoadBefore string            `json:"load_before"`
	LoadAfter  string            `json:"load_after"`
	Notices    []string          `json:"notices,omitempty"`
	Calls      []*startCell      `json:"calls"`
	Latency    []*startLatency   `json:"latency"`
	Memory     []*startMemory    `json:"memory"`
	Targets    []startTarget     `json:"targets"`
}

// A startCell is a guest called in one way.
type startCell struct {
	Guest  string           `json:"guest"`
	Method string           `json:"method"`
	Answer benchtest.Series `json:"answer"`          // until the answer is written
	Ready  benchtest.Series `json:"ready"`           // until the worker is ready for the next call
	Dirty  uint64           `json:"dirty,omitempty"` // bytes that a restore copies back
	Image  uint64           `json:"image,omitempty"` // of this many
}

// A startLatency is a guest's calls as seen by who makes them.
type startLatency struct {
	Guest   string                                   `json:"guest"`
	Methods map[startmethod.Method]*benchtest.Series `json:"methods"`
}

// added is what a clean instance adds to the latency.
func (l *startLatency) added() time.Duration {
	return l.Methods[startmethod.Snapshot].Median() - l.Methods[startmethod.Warm].Median()
}

func (l *startLatency) addedMin() time.Duration {
	return l.Methods[startmethod.Snapshot].Min() - l.Methods[startmethod.Warm].Min()
}

// A startMemory is what one instance of a guest occupies.
type startMemory struct {
	Guest     string           `json:"guest"`
	Clones    int              `json:"clones"`
	New       benchtest.Memory `json:"new"`  // a clone that was never called
	Used      benchtest.Memory `json:"used"` // one that has served a call
	Instances int              `json:"instances"`
	Raw       benchtest.Memory `json:"wazero"` // an instance of wazero by itself
}

// A startTarget is one that is met or missed.
type startTarget struct {
	Met  bool   `json:"met"`
	What string `json:"what"`
	Want string `json:"want"`
	Got  string `json:"got"`
}

// cell returns the cell of a guest and method, new if need be.
func (r *startReport) cell(guest, method string) *startCell {
	for _, c := range r.Calls {
		if c.Guest == guest && c.Method == method {
			return c
		}
	}
	c := &startCell{Guest: guest, Method: method}
	r.Calls = append(r.Calls, c)
	return c
}

// ratios are how many times faster than wazero by itself a cell's worker is, by the
// median and by the shortest calls. A machine that is busy drives the first up:
// memory and garbage collection, which wazero by itself makes much use of, suffer
// more than computing.
func (r *startReport) ratios(c *startCell) (median, shortest float64) {
	raw := &r.cell(c.Guest, rawMethod).Ready
	return float64(raw.Median()) / float64(max(1, c.Ready.Median())), float64(raw.Min()) / float64(max(1, c.Ready.Min()))
}

// judge compares with the targets.
func (r *startReport) judge(cases []startCase) {
	add := func(met bool, what, want, got string) {
		r.Targets = append(r.Targets, startTarget{met, what, want, got})
	}
	for _, c := range cases {
		if c.target > 0 {
			x, shortest := r.ratios(r.cell(c.name, string(startmethod.Snapshot)))
			got := benchtest.Ratio(x) + ", of min " + benchtest.Ratio(shortest)
			add(x >= c.target, c.name+": snapshot against wazero", "at least "+benchtest.Ratio(c.target), got)
		}
	}
	page := r.cell(startPage, string(startmethod.Snapshot)).Ready.Median()
	add(page <= mostOnePage, "worker time of a call that writes one page", "at most "+benchtest.Time(mostOnePage), benchtest.Time(page))
	for _, l := range r.Latency {
		add(l.added() <= mostAdded, l.Guest+": latency that snapshot adds to warm", "at most "+benchtest.Time(mostAdded),
			benchtest.Time(l.added())+", of min "+benchtest.Time(l.addedMin()))
	}
	for _, m := range r.Memory {
		add(m.Used.Pss <= mostClone, m.Guest+": memory of a live clone", "at most "+benchtest.Bytes(mostClone), benchtest.Bytes(float64(m.Used.Pss)))
	}
}

// print prints the tables.
func (r *startReport) print(cases []startCase) {
	m := r.Machine
	fmt.Printf("\nStart methods\n%s, %d cores, %s, %s, wazero %s\n", m.CPU, m.Cores, m.Kernel, m.Go, m.Wazero)
	fmt.Printf("load %s before, %s after; took %s\n", r.LoadBefore, r.LoadAfter, r.Took.Round(time.Second))
	for _, notice := range r.Notices {
		fmt.Println("notice:", notice)
	}
	for _, c := range cases {
		fmt.Printf("%s: %s\n", c.name, c.about)
	}
	r.printCalls()
	r.printLatency()
	r.printMemory()
	fmt.Println()
	w := table()
	for _, t := range r.Targets {
		verdict := "MISS"
		if t.Met {
			verdict = "PASS"
		}
		row(w, verdict, t.What, t.Got, t.Want)
	}
	_ = w.Flush()
}

func (r *startReport) printCalls() {
	fmt.Printf("\nWorker time of a call with %d bytes in and out, until the worker is ready for the next.\n", startInputBytes)
	w := table()
	row(w, "guest", "start method", "median", "min", "p99", "mean", "to the answer", "against wazero", "of min", "dirty", "calls")
	last := ""
	for _, c := range r.Calls {
		guest := c.Guest
		if guest == last {
			guest = ""
		}
		last = c.Guest
		dirty := ""
		if c.Image > 0 {
			dirty = fmt.Sprintf("%d of %d pages", c.Dirty/uint64(os.Getpagesize()), c.Image/uint64(os.Getpagesize()))
		}
		ratio, shortest := r.ratios(c)
		row(w, guest, c.Method, benchtest.Time(c.Ready.Median()), benchtest.Time(c.Ready.Min()), benchtest.Time(c.Ready.P99()),
			benchtest.Time(c.Ready.Mean()), benchtest.Time(c.Answer.Median()), benchtest.Ratio(ratio), benchtest.Ratio(shortest), dirty, strconv.Itoa(c.Ready.Len()))
	}
	_ = w.Flush()
}

func (r *startReport) printLatency() {
	fmt.Println("\nLatency as the caller sees it: Submit and Wait, one call in flight, one worker.")
	w := table()
	row(w, "guest", "start method", "median", "min", "p99", "snapshot − warm", "calls")
	for _, l := range r.Latency {
		guest, added := l.Guest, benchtest.Time(l.added())
		for _, method := range []startmethod.Method{startmethod.Precompiled, startmethod.Snapshot, startmethod.Warm} {
			s := l.Methods[method]
			row(w, guest, string(method), benchtest.Time(s.Median()), benchtest.Time(s.Min()), benchtest.Time(s.P99()), added, strconv.Itoa(s.Len()))
			guest, added = "", ""
		}
	}
	_ = w.Flush()
}

func (r *startReport) printMemory() {
	if len(r.Memory) == 0 {
		return
	}
	fmt.Println("\nResident memory of each live instance: Rss, which counts a page of the image in each clone that has read it, and Pss, which counts it once.")
	w := table()
	row(w, "guest", "clones", "new", "after a call", "instances of wazero", "after a call")
	for _, m := range r.Memory {
		row(w, m.Guest, strconv.Itoa(m.Clones), both(m.New), both(m.Used), strconv.Itoa(m.Instances), both(m.Raw))
	}
	_ = w.Flush()
}

func both(m benchtest.Memory) string {
	return benchtest.Bytes(float64(m.Rss)) + ", " + benchtest.Bytes(float64(m.Pss))
}

func table() *tabwriter.Writer { return tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0) }

func row(w *tabwriter.Writer, cells ...string) { fmt.Fprintln(w, strings.Join(cells, "\t")) }

// write writes the figures to a file, if one is named.
func (r *startReport) write(path string) error {
	if path == "" {
		return nil
	}
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
