// Package jail sandboxes a worker as its HELLO asks for: it opens what the worker
// needs of the system, and takes everything else away. It is apart from the worker
// so that tests can break out into the very same process.
package jail

import (
	"fmt"

	"github.com/sandpool/sandpool/internal/proc"
	"github.com/sandpool/sandpool/internal/sandbox"
	"github.com/sandpool/sandpool/internal/shm"
	"github.com/sandpool/sandpool/internal/snapshot"
	"github.com/sandpool/sandpool/internal/wire"
)

// A Jail is what a sandboxed worker has of its system besides its pipes.
type Jail struct {
	Pages  *snapshot.Pages // nil where the system does not tell which pages were written to
	Draft  *shm.Draft      // a template's own image, hello.Image bytes at most; nil for others
	Report sandbox.Report
}

// Enter sandboxes this process, without the mechanisms that are named. open opens the
// directories of hello, when nothing is left that the host did not want to hand on;
// nil for none.
func Enter(in *proc.Inherited, hello wire.Hello, open func() []sandbox.Dir, without ...string) (*Jail, error) {
	j := new(Jail)
	c := sandbox.Config{
		Keep: in.Files(), Data: hello.Data, FileSize: max(hello.Image, hello.FileSize), Threads: hello.Threads, Open: open,
		Profile: sandbox.WorkerProfile, Blobs: in.Blobs, Without: without,
	}
	var err error
	if j.Pages, err = snapshot.OpenPages(); err == nil { // else images are copied as a whole
		c.Pages = j.Pages.File()
		c.Keep = append(c.Keep, c.Pages)
	}
	if hello.Role == wire.RoleTemplate {
		c.Profile = sandbox.TemplateProfile
	} else if len(hello.Dirs) > 0 {
		c.Profile |= sandbox.DirsProfile
	}
	if c.Profile == sandbox.TemplateProfile && hello.Image > 0 {
		// Made here: files that a process can make are memory that it can fill.
		if j.Draft, err = shm.NewDraft("sandpool-selftest", int64(hello.Image)); err != nil {
			return nil, fmt.Errorf("prepare an image: %w", err)
		}
		if c.Draft = j.Draft.File(); c.Draft != nil {
			c.Keep = append(c.Keep, c.Draft)
		}
	}
	if hello.Sandbox == wire.SandboxOff {
		c.Profile = sandbox.NoProfile
		c.Without = append(c.Without, sandbox.NotDumpable)
	}
	j.Report = sandbox.Apply(c)
	if c.Profile == sandbox.NoProfile {
		j.Report.LeftOut(sandbox.Filters()...)
	}
	return j, nil
}
