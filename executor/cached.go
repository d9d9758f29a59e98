package executor

// remember looks a call of a Pure function up among the results that are kept, or
// notes where its own is to be kept.
func (c *core) remember(cl *call) {
	if c.results == nil || cl.target.world.dirs != "" {
		return
	}
	t, init := &cl.target, &c.setup.init
	named := t.named
	named[namedSetup] = init.named
	parts := resultKeyParts{
		Digest: t.module.Sum(), Function: t.name, Codecs: t.codecs, Named: named[:], Method: string(t.method), Memory: t.limits.Memory,
		Grants: t.hostNames(), Seed: t.seed, Init: init.name, InitCodec: init.codec, InitInput: init.input,
		Env: c.opts.Env, Input: cl.input, World: t.world.texts(), Flags: uint32(cl.flags),
	}
	if c.isolates() {
		parts.Domain = t.tenant
	}
	key := parts.key()
	output, ok := c.results.get(key)
	if ok && int64(len(output)) <= t.limits.Output {
		cl.output, cl.usage.Cached = output, true
		return
	}
	cl.keep = &key
}
