package serialize

import (
	"math"
	"reflect"
)

// Estimate returns what a t decoded from data takes, to the last item, and
// whether a bound just below that has data walked.
func Estimate(r *Reducers, c Codec, data []byte, t reflect.Type) (need int64, walked bool) {
	need = r.estimate(c.Name(), data, t, math.MaxInt64)
	return need, r.shape(t).exceeds(int64(len(data)), need-1)
}
