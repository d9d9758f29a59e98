package executor

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sandpool/sandpool/internal/quote"
	"github.com/sandpool/sandpool/internal/wire"
)

// Bounds of Grants.Dirs.
const (
	maxDirs     = 16
	maxDirsText = 32 << 10 // bytes of their paths, all together
)

// A Dir is a directory of the host that a guest may use, with all that is below. No
// path leads out of it, whatever symbolic links it has. A guest makes no links, and
// opens neither devices nor pipes. How large it may make a file is [Limits.FileSize], and it has 64
// open at a time; how many it makes, and how much they hold together, only the file system
// bounds.
type Dir struct {
	// Host is the directory's path. One that is relative is taken from where the
	// program is when the call is submitted. It must be there then.
	Host string
	// Guest is the path where the guest finds it: absolute, with slashes, such as
	// "/data". Empty means "/".
	Guest string
	// Writable lets the guest change what is in it. Otherwise that fails with EROFS.
	Writable bool
}

// joinDirs returns directories in the form of a world: a line for each with its parts
// separated by NULs, in the order of where guests find them.
func joinDirs(dirs []Dir) (string, error) {
	if len(dirs) == 0 {
		return "", nil
	}
	wrong := func(format string, args ...any) (string, error) {
		return "", &OptionError{"Func.Grants.Dirs", fmt.Sprintf(format, args...)}
	}
	if len(dirs) > maxDirs {
		return wrong("%d directories are more than %d", len(dirs), maxDirs)
	}
	list := slices.Clone(dirs)
	size := 0
	for i := range list {
		if err := list[i].resolve(); err != nil {
			return wrong("entry %d: %v", i, err)
		}
		if size += len(list[i].Host) + len(list[i].Guest); size > maxDirsText {
			return wrong("paths of more than %d bytes", maxDirsText)
		}
	}
	slices.SortFunc(list, func(a, b Dir) int { return cmp.Compare(a.Guest, b.Guest) })
	var b strings.Builder
	for i, d := range list {
		if i > 0 && d.Guest == list[i-1].Guest {
			return wrong("two directories are %s to the guest", quote.Line(d.Guest))
		}
		mode := "ro"
		if d.Writable {
			mode = "rw"
		}
		b.WriteString(d.Guest + "\x00" + d.Host + "\x00" + mode + "\x00")
	}
	return b.String(), nil
}

// resolve checks a directory, and makes its paths absolute and clean.
func (d *Dir) resolve() error {
	for _, p := range []string{d.Host, d.Guest} {
		if reason := checkText(p); reason != "" {
			return errors.New("a path " + reason)
		}
	}
	if d.Guest = cmp.Or(d.Guest, "/"); !path.IsAbs(d.Guest) {
		return fmt.Errorf("the guest's path %s is not absolute", quote.Line(d.Guest))
	}
	d.Guest = path.Clean(d.Guest)
	if d.Host == "" {
		return errors.New("its Host is empty")
	}
	host, err := filepath.Abs(d.Host)
	if err != nil {
		return err
	}
	info, err := os.Stat(host)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", quote.Line(host))
	}
	d.Host = host
	return nil
}

// helloDirs puts directories into a worker's HELLO, with how large files may get there at most.
func helloDirs(hello *wire.Hello, joined string, fileSize int64) {
	texts := splitTexts(joined)
	for ; len(texts) > 2; texts = texts[3:] {
		d := wire.Dir{Guest: texts[0], Host: texts[1], Writable: texts[2] == "rw"}
		hello.Dirs = append(hello.Dirs, d)
		if d.Writable {
			hello.FileSize = uint64(fileSize)
		}
	}
}

// nextDirsLocked returns the directories that n new workers are to have: those of the
// calls whose turn is next and for which none is on its way.
func (c *core) nextDirsLocked(n int) []string {
	next := make([]string, n)
	if n == 0 || c.queue.granted == 0 {
		return next
	}
	coming := make(map[string]int)
	for w := range c.fleet.all {
		if !w.ready && !w.out && !w.standby {
			coming[w.dirs]++
		}
	}
	i := 0
	c.queue.inTurn(func(cl *call) bool {
		if d := cl.target.world.dirs; coming[d] > 0 {
			coming[d]--
		} else {
			next[i] = d
			i++
		}
		return i < n
	})
	return next
}

// inTurn calls yield with the calls that are ready, nested ones first and then those of
// the tenants in turn, until it returns false.
func (q *queue) inTurn(yield func(cl *call) bool) {
	turns := slices.Clone(q.turns)
	slices.SortFunc(turns, func(a, b *tenant) int {
		return cmp.Or(cmp.Compare(a.workers, b.workers), cmp.Compare(a.served, b.served))
	})
	lists := slices.Clone(q.nested)
	slices.Reverse(lists)
	for _, t := range turns { // the first of each is next
		lists = append(lists, t.levels[t.order[0]])
	}
	for _, l := range lists {
		if cl := l.front(); cl != nil && !yield(cl) {
			return
		}
	}
	for _, l := range lists {
		for cl := l.front(); cl != nil; cl = cl.next {
			if cl.prev != nil && !yield(cl) {
				return
			}
		}
	}
}

// leaveWithoutDirs ends a worker that could not open its directories, and the calls
// that wait for such workers: another one would fare no better.
func (w *worker) leaveWithoutDirs(cn *conn) {
	c := w.core
	exit := cn.end(c)
	err := &StartError{Stage: "directories", Stderr: exit.Stderr, Err: errors.New(quote.Line(cn.ready.NoDirs))}
	c.update(func() {
		c.outLocked(w)
		c.dropTasksLocked(w)
		delete(c.fleet.all, w)
		for _, cl := range c.queue.ready() {
			if cl.target.world.dirs == w.dirs {
				c.finishLocked(cl, nil, copyError(err))
			}
		}
	})
	c.log.Warn("worker could not open its directories", "worker", w.number, "error", err)
}
