package leak_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/startmethod"
)

// A printer is a guest under construction that prints.
type printer struct {
	*guesttest.Tiny

	write, close uint32 // fd_write and fd_close
}

func newPrinter() printer {
	const i32, wasi = guesttest.I32, "wasi_snapshot_preview1"
	g := guesttest.NewTiny()
	return printer{
		Tiny:  g,
		write: g.Import(wasi, "fd_write", guesttest.Sig([]guesttest.ValueType{i32, i32, i32, i32}, i32)),
		close: g.Import(wasi, "fd_close", guesttest.Sig([]guesttest.ValueType{i32}, i32)),
	}
}

// print is code that prints text, by two locals, and pushes the error number.
func (p printer) print(fd int32, text string, pointer, length uint32) *guesttest.Code {
	const vector = 60_000
	return new(guesttest.Code).
		Append(p.Text(text)).Set(length).Set(pointer).
		I32(vector).Get(pointer).Store(0).
		I32(vector).Get(length).Store(4).
		I32(fd).I32(vector).I32(1).I32(vector + 8).Call(p.write)
}

var (
	onePage   = [2]uint32{1, 1}
	twoLocals = []guesttest.ValueType{guesttest.I32, guesttest.I32} // 3 and 4
)

// isolated are the methods under which no call sees another.
var isolated = []startmethod.Method{startmethod.Fresh, startmethod.Precompiled, snapshot}

// TestStreams has init close one standard stream and each call another: the first
// is closed in new clones and in restored ones, the second in none.
func TestStreams(t *testing.T) {
	t.Parallel()
	const stdout, stderr, badf, at = 1, 2, 8, 61_000
	p := newPrinter()
	p.Export("_initialize", p.Func(guesttest.Sig(nil), nil, new(guesttest.Code).I32(stdout).Call(p.close).Drop()))
	body := new(guesttest.Code).
		I32(at).Append(p.print(stdout, "printed", 3, 4)).Store8(0).
		I32(at).I32(stderr).Call(p.close).Store8(1).
		I32(at).I32(2).Call(p.Write).
		I32(0)
	do := raw{Module: module(t, p.Finish("streams", onePage, twoLocals, body)), Name: "streams"}
	for _, method := range isolated {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			ex := newExecutor(t, executor.Options{StartMethod: method})
			for range 3 {
				f := executor.Submit(t.Context(), ex, do, nil)
				out, err := f.Wait(t.Context())
				require.NoError(t, err)
				require.Equal(t, []byte{badf, 0}, out)
				require.Equal(t, method, f.Usage().StartMethod)
			}
		})
	}
}

// TestTail looks for what one call has printed in the failure of the next.
func TestTail(t *testing.T) {
	t.Parallel()
	const stderr = 2
	p := newPrinter()
	body := new(guesttest.Code).
		Get(1).If(). // with an input
		Append(p.print(stderr, "a secret", 3, 4)).Drop().
		Unreachable().
		End().
		Append(p.print(stderr, "its own", 3, 4)).Drop().
		I32(1).Append(p.Text("as asked")).I32(0).I32(0).Call(p.Fail).
		I32(1)
	do := raw{Module: module(t, p.Finish("tail", onePage, twoLocals, body)), Name: "tail"}
	for _, method := range startmethod.Methods() {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			var logs record
			ex := newExecutor(t, executor.Options{StartMethod: method, GuestLog: logs.logger()})
			for i := range 6 {
				secret := i%2 == 0
				input, want := []byte(nil), "its own"
				if secret {
					input, want = []byte("x"), "a secret"
				}
				_, err := executor.Submit(t.Context(), ex, do, input).Wait(t.Context())
				var ge *executor.GuestError
				require.ErrorAs(t, err, &ge)
				require.Equal(t, want, ge.Stderr)
			}
			require.Equal(t, 3, strings.Count(logs.text(), `msg="a secret"`))
			require.Equal(t, 3, strings.Count(logs.text(), `msg="its own"`))
		})
	}
}

// TestDraw_clones is TestDraw for instances that are new clones: one is closed by a
// call of a function that does not exist.
func TestDraw_clones(t *testing.T) {
	t.Parallel()
	ex := newExecutor(t, executor.Options{StartMethod: snapshot})
	draw := raw{Module: module(t, guesttest.Bytes(t, "state")), Name: "draw"}
	lost := draw
	lost.Name = "lost"
	numbers := make(map[string]bool)
	for range 5 {
		f := executor.Submit(t.Context(), ex, draw, nil)
		out, err := f.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, snapshot, f.Usage().StartMethod)
		for line := range strings.Lines(string(out)) {
			source, choice, _ := strings.Cut(strings.TrimSpace(line), ": ")
			if !strings.HasPrefix(source, "math/rand") {
				continue
			}
			for number := range strings.FieldsSeq(choice) {
				require.False(t, numbers[number], "%s drew %s twice", source, number)
				numbers[number] = true
			}
		}
		_, err = executor.Submit(t.Context(), ex, lost, nil).Wait(t.Context())
		require.Error(t, err)
	}
	require.NotEmpty(t, numbers)
}
