package sandbox

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxFiles is RLIMIT_NOFILE of a worker: its pipes, the descriptors of blobs on
// their way, of the images that it holds, and what the Go runtime has.
const maxFiles = 128

func apply(c *Config, r *Report) {
	r.try(c, Descriptors, func() error { return closeOthers(c.Keep) })
	c.open()
	defer c.closeDirs()
	r.try(c, Rlimits, func() error { return setRlimits(c) })
	if c.Data > 0 {
		r.try(c, Memory, func() error { return limitData(c.Data) })
	}
	if c.Profile == NoProfile {
		r.try(c, NotDumpable, setNotDumpable)
		r.add(ParentDeath, checkParentDeath())
		r.add(NoNewPrivs, checkNoNewPrivs())
		return
	}
	t, err := openThreads() // while /proc can be read
	if err != nil {
		t = &threads{err: err}
	}
	defer t.close()
	r.add(ParentDeath, checkParentDeath())
	r.add(NoNewPrivs, t.setNoNewPrivs())
	r.try(c, Caps, t.dropCapabilities)
	// The runtime shares a pool of states with the kernel, which a filtered process
	// cannot map.
	_, _ = rand.Read(make([]byte, 1))
	r.try(c, NotDumpable, setNotDumpable)
	r.try(c, Landlock, func() error { return t.landlock(c.dirs) })
	r.try(c, Seccomp, func() error { return installSeccomp(c) })
}

func setNotDumpable() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }

// closeOthers closes every descriptor above 2 that is not to be kept, except
// what the Go runtime's poller owns.
func closeOthers(keep []*os.File) error {
	kept := make(map[int]bool, len(keep))
	for _, f := range keep {
		kept[int(f.Fd())] = true
	}
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return err
	}
	names, err := dir.Readdirnames(-1)
	if cerr := dir.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil || fd <= 2 || kept[fd] {
			continue
		}
		target, err := os.Readlink("/proc/self/fd/" + name)
		if err != nil || target == "anon_inode:[eventpoll]" || target == "anon_inode:[eventfd]" {
			continue // gone (the directory itself) or the poller's
		}
		_ = unix.Close(fd)
	}
	return nil
}

func setRlimits(c *Config) error {
	limits := []limit{
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_FSIZE, c.FileSize},
		{unix.RLIMIT_NOFILE, maxFiles},
		{unix.RLIMIT_MEMLOCK, 0},
		{unix.RLIMIT_MSGQUEUE, 0},
	}
	if c.Threads > 0 {
		limits = append(limits, limit{unix.RLIMIT_NPROC, c.Threads})
	}
	var errs []error
	for _, l := range limits {
		if err := setRlimit(l.resource, l.max); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// A limit is one of the kernel's resource limits.
type limit struct {
	resource int
	max      uint64
}

// setRlimit lowers a limit, soft and hard, and never raises one.
func setRlimit(resource int, limit uint64) error {
	var now unix.Rlimit
	if err := unix.Getrlimit(resource, &now); err != nil {
		return err
	}
	limit = min(limit, now.Max)
	return unix.Setrlimit(resource, &unix.Rlimit{Cur: limit, Max: limit})
}

// limitData bounds private writable memory to what is mapped now plus more
// bytes: a race-enabled program has gigabytes of it from the start.
func limitData(more uint64) error {
	now, err := dataSize()
	if err != nil {
		return err
	}
	if more > math.MaxUint64-now {
		more = math.MaxUint64 - now
	}
	return setRlimit(unix.RLIMIT_DATA, now+more)
}

// dataSize returns VmData, the memory that RLIMIT_DATA counts, in bytes.
func dataSize() (uint64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmData:"); ok {
			kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("VmData: %w", err)
			}
			return kib << 10, nil
		}
	}
	return 0, errors.New("no VmData in /proc/self/status")
}

// parentDeath is the signal that the kernel sends when the host dies. It belongs
// to the thread that it was asked for at launch, the first one, where Go
// initialises packages; main and Apply may run on another, which has none.
var parentDeath, errParentDeath = func() (sig int32, err error) {
	err = unix.Prctl(unix.PR_GET_PDEATHSIG, ptr(&sig), 0, 0, 0)
	return sig, err
}()

// checkParentDeath reports whether the signal was asked for at launch.
func checkParentDeath() error {
	if errParentDeath != nil {
		return errParentDeath
	}
	if parentDeath != int32(unix.SIGKILL) {
		return fmt.Errorf("signal is %d", parentDeath)
	}
	return nil
}

// checkNoNewPrivs reports whether the launcher's thread passed it on.
func checkNoNewPrivs() error {
	set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err != nil {
		return err
	}
	if set != 1 {
		return errors.New("not set at launch")
	}
	return nil
}
