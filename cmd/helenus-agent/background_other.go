//go:build !linux

package main

// background runs work; priorities of threads are Linux's.
func background(work func()) { work() }
