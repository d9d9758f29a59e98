package guesttest

// What the guest of TinyLimits does, by the first byte of its input. It counts its calls in
// memory, and a call that ends returns the count as 4 bytes, little endian: 1 in an
// instance that is clean.
const (
	LimitsCount   = iota // nothing else
	LimitsSpin           // loops for ever
	LimitsGrow           // grows memory for ever, which is refused sooner or later
	LimitsSleep          // sleeps for a day
	LimitsHost           // calls the host function "wait"
	LimitsHosts          // does so for ever
	LimitsRecurse        // calls itself for ever
	LimitsTail           // calls other functions for ever, as deep as three
	LimitsPrint          // prints for ever
	LimitsError          // prints to its standard error for ever
	LimitsFill           // fills a page of memory for ever
	LimitsNap            // sleeps for 20 ms
	LimitsWork           // runs 100 000 rounds of a loop
)

// TinyLimits returns a guest that reaches limits. Its start function and its
// _initialize never return if that is asked for.
func TinyLimits(endlessStart, endlessInit bool) []byte {
	const n = firstLocal
	t := NewTiny()
	h := t.ImportHost()
	poll := t.Import(wasiModule, "poll_oneoff", sigHost)
	write := t.Import(wasiModule, "fd_write", sigHost)
	spin := func() *Code { return new(Code).Loop().Br(0).End() }
	first := t.Func(sigNone, nil, new(Code))
	t.Func(sigNone, nil, new(Code).Call(first+1)) // itself
	t.Func(sigNone, nil, new(Code).Call(first))
	t.Func(sigNone, nil, new(Code).Call(first+2).Call(first+2))
	sleep := func(ns int64) *Code {
		return new(Code).
			I32(1024).I64(0).Store64(8).I32(1024).I32(1).Store(16).I32(1024).I64(ns).Store64(24).I32(1024).I32(0).Store(40).
			I32(1024).I32(2048).I32(1).I32(3000).Call(poll).Drop()
	}
	wait := new(Code).Append(t.Text("wait")).I32(0).I32(0).Call(h.Call).Drop()
	flood := func(fd int32) *Code {
		return new(Code).I32(600).I32(4096).Store(0).I32(600).I32(1000).Store(4).
			Loop().I32(fd).I32(600).I32(1).I32(620).Call(write).Drop().Br(0).End()
	}
	actions := map[int32]*Code{
		LimitsSpin:    spin(),
		LimitsGrow:    new(Code).Loop().I32(1).MemoryGrow().Drop().Br(0).End(),
		LimitsSleep:   sleep(24 * 3600 * 1e9),
		LimitsHost:    wait,
		LimitsHosts:   new(Code).Loop().Append(wait).Br(0).End(),
		LimitsRecurse: new(Code).Call(first + 1),
		LimitsTail:    new(Code).Loop().Call(first + 3).Br(0).End(),
		LimitsPrint:   flood(1),
		LimitsError:   flood(2),
		LimitsFill:    new(Code).Loop().I32(4096).I32(1).I32(8192).Raw(0xfc, 0x0b, 0).Br(0).End(),
		LimitsNap:     sleep(20e6),
		LimitsWork:    new(Code).Loop().Get(n).I32(1).Add().Tee(n).I32(100_000).LtU().BrIf(0).End(),
	}
	body := new(Code).
		I32(0).I32(0).I32(1).Call(t.Read).Drop().
		I32(512).I32(512).Load(0).I32(1).Add().Store(0)
	for i := int32(LimitsSpin); i <= LimitsWork; i++ {
		body.I32(0).Load8(0).I32(i).Eq().If().Append(actions[i]).End()
	}
	body.I32(512).I32(4).Call(t.Write).I32(0)
	if endlessStart {
		t.Start(t.Func(sigNone, nil, spin()))
	}
	if endlessInit {
		t.Export("_initialize", t.Func(sigNone, nil, spin()))
	}
	return t.Finish("limits", [2]uint32{1, NoMax}, []ValueType{I32}, body)
}
