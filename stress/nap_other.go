//go:build !linux

package stress

import "time"

func nap(d time.Duration) { time.Sleep(d) }

func sharpen() (release func()) { return func() {} }
