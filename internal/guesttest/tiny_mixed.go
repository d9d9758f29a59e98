package guesttest

// TinyMixed returns a guest that does what its input's first byte says: 't' traps, 's'
// never returns, 'f' fails, 'l' logs a line, 'h' calls the host function on the input, 'b'
// answers with 8 KiB. Unless that ends it, and for any other input, its output is its input.
func TinyMixed(host string) []byte {
	const n, first = firstLocal, firstLocal + 1
	t := NewTiny()
	h := t.ImportHost()
	is := func(c byte) *Code { return new(Code).Get(first).I32(int32(c)).Eq().If() }
	body := new(Code).
		I32(0).I32(0).I32(bufferSize).Call(t.Read).Set(n).
		I32(0).Load8(0).Set(first).
		Append(is('t')).Unreachable().End().
		Append(is('s')).Loop().Br(0).End().End().
		Append(is('f')).I32(1).Append(t.Text("it is to fail")).I32(0).I32(0).Call(t.Fail).I32(1).Return().End().
		Append(is('l')).I32(0).Append(t.Text("a line")).Call(t.Log).End().
		Append(is('h')).Append(t.Text(host)).I32(0).Get(n).Call(h.Call).Drop().End().
		Append(is('b')).I32(0).I32(8 << 10).Call(t.Write).I32(0).Return().End().
		I32(0).Get(n).Call(t.Write).
		I32(0)
	return t.Finish("mixed", onePage, []ValueType{I32, I32}, body)
}
