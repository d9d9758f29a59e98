package executor

// What tests need of the cache of results.
type (
	ResultCache    = resultCache
	ResultKey      = resultKey
	ResultKeyParts = resultKeyParts
)

// ResultOverhead is what an entry costs besides its output.
const ResultOverhead = resultOverhead

// NewResultCache is newResultCache.
func NewResultCache(size int64) *ResultCache { return newResultCache(size) }

// Get is get.
func (c *resultCache) Get(key ResultKey) ([]byte, bool) { return c.get(key) }

// Put is put.
func (c *resultCache) Put(key ResultKey, output []byte) { c.put(key, output) }

// Size is size.
func (c *resultCache) Size() (int64, int) { return c.size() }

// Key is key.
func (p resultKeyParts) Key() ResultKey { return p.key() }
