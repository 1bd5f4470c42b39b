# Reads `go test -v`. Prints failing tests with their output, package lines,
# and at the end the skipped tests with their reasons and the totals.
function flush(  i) { for (i = 0; i < n; i++) print line[i]; n = 0 }
/^=== RUN / && $3 !~ /\//      { n = 0; line[n++] = $0; next }
/^--- PASS: /                  { passed++; n = 0; next }
/^--- SKIP: /                  { skip[skips++] = $3 ": " reason; n = 0; next }
/^--- FAIL: /                  { failed++; line[n++] = $0; flush(); open = 1; next }
/^ok /                         { n = 0; open = 0; print; next }
/^(FAIL|panic:|fatal error:|# )/ { flush(); open = 1; if ($0 != "FAIL") print; if (/^FAIL\t/) { broken++; open = 0 } next }
/^(PASS|\?|testing: warning)/  { next }
/^\t/ && /no test files|coverage:/ { next }
/\.go:[0-9]+: /                { reason = $0; sub(/^ *[^ ]+\.go:[0-9]+: /, "", reason) }
open                           { print; next }
                               { line[n++] = $0 }
END {
	flush()
	if (skips) {
		print ""
		print "skipped:"
		for (i = 0; i < skips; i++) print "  " skip[i]
	}
	printf "\n%d passed, %d failed\n", passed, failed
	exit (failed || broken) ? 1 : 0
}
