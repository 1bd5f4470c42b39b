package row

// pushHeap and popHeap keep the indexes of sources in a binary heap, the first
// by less on top. They take the order as a function that does not escape, so
// that no interface value is made per call.
func pushHeap(h []int32, x int32, less func(a, b int32) bool) []int32 {
	h = append(h, x)
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !less(h[i], h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
	return h
}

// popHeap removes the top, which the caller has looked at before.
func popHeap(h []int32, less func(a, b int32) bool) []int32 {
	last := len(h) - 1
	h[0] = h[last]
	h = h[:last]
	for i := 0; ; {
		best := i
		for c := 2*i + 1; c <= 2*i+2 && c < last; c++ {
			if less(h[c], h[best]) {
				best = c
			}
		}
		if best == i {
			return h
		}
		h[i], h[best] = h[best], h[i]
		i = best
	}
}
