package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/sandpool/sandpool/examples/wordcount/words"
	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/serialize"
)

// goFiles lists the regular files below dir whose names end in .go, in lexical
// order, as paths with slashes that begin in dir.
func goFiles(dir string) ([]string, error) {
	var files []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && path.Ext(name) == ".go" {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list Go files of %s: %w", dir, err)
	}
	return files, nil
}

// A source is a file that is being counted.
type source struct {
	name string
	size int
}

// countSandboxed counts the files in the executor's workers, one call a file. A
// file that fails is reported and left out; only what concerns every file is an
// error. When ctx ends it returns what it has.
func (j *job) countSandboxed(ctx context.Context, ex *executor.Executor, count executor.Func[[]byte, map[string]int]) (*tally, error) {
	var (
		found    = newTally()
		fsys     = os.DirFS(j.dir)
		underWay []source // in the order of their calls, which is that of the results
	)
	texts := func(yield func([]byte) bool) {
		for _, name := range j.files {
			text, err := fs.ReadFile(fsys, name)
			if err != nil {
				j.fail(name, err)
				continue
			}
			underWay = append(underWay, source{name, len(text)})
			if !yield(text) {
				return
			}
		}
	}
	for counts, err := range executor.Map(ctx, ex, count, texts) {
		if err != nil && ctx.Err() != nil {
			break // the interrupt's doing, not the file's
		}
		file := underWay[0]
		underWay = underWay[1:]
		if err == nil {
			found.add(counts, file.size)
			j.counted = append(j.counted, file.name)
			j.progress.add(1)
			continue
		}
		if concernsAll(err) {
			return nil, err
		}
		j.fail(file.name, err)
	}
	return found, nil
}

// fail reports a file that could not be counted.
func (j *job) fail(name string, err error) {
	j.failed++
	j.progress.printf("wordcount: %s: %v\n", name, err)
	j.progress.add(1)
}

// concernsAll reports whether no other file will fare better.
func concernsAll(err error) bool {
	if _, ok := errors.AsType[*serialize.ModuleError](err); ok {
		return true
	}
	_, ok := errors.AsType[*executor.OptionError](err)
	return ok
}

// countNative counts files of dir in this process, on every CPU.
func countNative(dir string, files []string) (*tally, error) {
	var (
		fsys  = os.DirFS(dir)
		next  atomic.Int64 // index of the first file that nobody has taken
		parts = make([]*tally, runtime.GOMAXPROCS(0))
		errs  = make([]error, len(parts))
		wg    sync.WaitGroup
	)
	for p := range parts {
		wg.Go(func() { // exits when no file is left or one cannot be read
			part := newTally()
			parts[p] = part
			for i := next.Add(1) - 1; i < int64(len(files)); i = next.Add(1) - 1 {
				text, err := fs.ReadFile(fsys, files[i])
				if err != nil {
					errs[p] = err
					return
				}
				part.add(words.Count(text), len(text))
			}
		})
	}
	wg.Wait()
	all := newTally()
	for _, part := range parts {
		all.merge(part)
	}
	return all, errors.Join(errs...)
}
