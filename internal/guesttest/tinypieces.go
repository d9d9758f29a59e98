package guesttest

// TinyPieces returns a guest named pieces whose output is its input, like TinyEcho, with room for all of
// it: that many pages, and one more. It reads in pieces of in bytes, from the end on if that is
// negative, and writes in pieces of out bytes when it has read everything.
func TinyPieces(pages uint32, in, out int32) []byte {
	const (
		behind = 64 << 10
		at     = firstLocal
		n      = firstLocal + 1
	)
	t := NewTiny()
	// n = piece < size - at ? piece : size - at
	next := func(piece int32) *Code {
		return new(Code).Get(paramSize).Get(at).Sub().Set(n).
			I32(piece).Get(n).LtU().If().I32(piece).Set(n).End()
	}
	address := new(Code).Get(at).I32(behind).Add()
	body := new(Code).Block().Loop().Get(at).Get(paramSize).GeU().BrIf(1)
	if in > 0 {
		body.Append(next(in)).
			Append(address).Get(at).Get(n).Call(t.Read).Drop()
	} else { // at counts from the end
		body.Append(next(-in)).
			Get(paramSize).Get(at).Sub().Get(n).Sub().I32(behind).Add().
			Get(paramSize).Get(at).Sub().Get(n).Sub().
			Get(n).Call(t.Read).Drop()
	}
	body.Get(at).Get(n).Add().Set(at).Br(0).End().End().
		I32(0).Set(at).
		Block().Loop().Get(at).Get(paramSize).GeU().BrIf(1).
		Append(next(out)).
		Append(address).Get(n).Call(t.Write).
		Get(at).Get(n).Add().Set(at).Br(0).End().End().
		I32(0)
	return t.Finish("pieces", [2]uint32{pages + 1, pages + 1}, []ValueType{I32, I32}, body)
}
