package wasmworker

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"unsafe"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental/sysfs"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/sandpool/sandpool/internal/dirfs"
	"github.com/sandpool/sandpool/internal/sandbox"
	"github.com/sandpool/sandpool/internal/wire"
)

// maxOpenFiles is how many files and directories an instance may have open at a time.
// The process may have twice as many descriptors; see package sandbox.
const maxOpenFiles = 64

// A grantedDir is a directory that the guests of this process may use.
type grantedDir struct {
	root     *os.Root
	guest    string // where they find it
	writable bool
}

// openDirs opens the directories of HELLO, and each once more for the sandbox.
func openDirs(list []wire.Dir) (dirs []grantedDir, kept []sandbox.Dir, err error) {
	for _, d := range list {
		root, err := os.OpenRoot(d.Host)
		if err != nil {
			return nil, kept, err
		}
		dirs = append(dirs, grantedDir{root, d.Guest, d.Writable})
		f, err := root.Open(".")
		if err != nil {
			return nil, kept, err
		}
		kept = append(kept, sandbox.Dir{File: f, Writable: d.Writable})
	}
	return dirs, kept, nil
}

// A fileSession is an instance's use of the granted directories. A nil one is that of an
// instance which has none.
type fileSession struct {
	*dirfs.Session

	config wazero.FSConfig
}

// newFiles returns a session for a slot's new instance.
func (s *server) newFiles(sl *slot) *fileSession {
	if !sl.Dirs {
		return nil
	}
	f := &fileSession{&dirfs.Session{MaxOpen: maxOpenFiles, MaxSize: int64(min(sl.FileSize, s.fileSize))}, wazero.NewFSConfig()}
	for _, d := range s.dirs {
		if c, ok := f.config.(sysfs.FSConfig); ok {
			f.config = c.WithSysFSMount(f.FS(d.root, d.writable), d.guest)
		}
	}
	return f
}

// configOf returns the engine's configuration of an instance.
func (f *fileSession) configOf(c wazero.ModuleConfig) wazero.ModuleConfig {
	if f == nil {
		return c
	}
	return c.WithFSConfig(f.config)
}

// close closes what the guest has left open.
func (f *fileSession) close() {
	if f != nil {
		f.Close()
	}
}

// exactOf returns how the engine's error numbers are made exact, or nil for an instance
// without files.
func (f *fileSession) exactOf() func(uint32) uint32 {
	if f == nil {
		return nil
	}
	return f.Exact
}

// engineFunctions returns the engine's own functions of WASI, by name: those about files
// serve guests that have directories. The engine has no way to get at them but as a
// whole module, so they are read out of its builder; the tests of directories notice when
// that stops working.
func engineFunctions(r wazero.Runtime) (functions map[string]api.GoModuleFunction, err error) {
	defer func() {
		if p := recover(); p != nil {
			functions, err = nil, fmt.Errorf("take WASI's functions out of the engine: %v", p)
		}
	}()
	b := r.NewHostModuleBuilder("sandpool_files")
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(b)
	field := reflect.ValueOf(b).Elem().FieldByName("nameToHostFunc")
	list := reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem()
	functions = make(map[string]api.GoModuleFunction, list.Len())
	for i := list.MapRange(); i.Next(); {
		f, ok := reflect.TypeAssert[api.GoModuleFunction](i.Value().Elem().FieldByName("Code").FieldByName("GoFunc"))
		if !ok {
			return nil, errors.New("this build cannot take WASI's functions out of the engine")
		}
		functions[i.Key().String()] = f
	}
	return functions, nil
}
