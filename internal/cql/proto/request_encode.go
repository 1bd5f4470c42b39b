package proto

// AppendBody appends the body of a request in version v, custom payload
// included; the envelope's header needs FlagPayload when there is one.
func (q *Request) AppendBody(dst []byte, v Version) []byte {
	if q.Payload.Len() > 0 && v >= V4 {
		dst = append(dst, q.Payload...)
	}
	switch q.Op {
	case OpStartup:
		dst = appendU16(dst, len(q.Options))
		for _, o := range q.Options {
			dst = appendString(appendString(dst, o.Key), o.Value)
		}
	case OpQuery:
		dst = q.Params.append(appendLong(dst, q.Text), v)
	case OpPrepare:
		dst = q.appendPrepare(dst, v)
	case OpExecute:
		dst = appendString(dst, q.ID)
		if v >= V5 {
			dst = appendString(dst, q.ResultID)
		}
		dst = q.Params.append(dst, v)
	case OpBatch:
		dst = q.appendBatch(dst, v)
	case OpRegister:
		dst = appendStrings(dst, q.Events)
	case OpAuthResponse:
		dst = appendBytes(dst, q.Token)
	}
	return dst
}

// HeaderFor is the header of the request on a stream.
func (q *Request) HeaderFor(v Version, stream int16) Header {
	h := Header{Version: v, Flags: q.Flags & FlagTracing, Stream: stream, Op: q.Op}
	if q.Payload.Len() > 0 && v >= V4 {
		h.Flags |= FlagPayload
	}
	return h
}

func (q *Request) appendPrepare(dst []byte, v Version) []byte {
	dst = appendLong(dst, q.Text)
	switch {
	case v < V5:
		return dst
	case q.Keyspace == nil:
		return appendI32(dst, 0)
	}
	return appendString(appendI32(dst, prepareKeyspace), q.Keyspace)
}

func (q *Request) appendBatch(dst []byte, v Version) []byte {
	dst = append(dst, byte(q.BatchType))
	dst = appendU16(dst, len(q.Batch))
	for i := range q.Batch {
		it := &q.Batch[i]
		if it.ID != nil {
			dst = appendString(append(dst, 1), it.ID)
		} else {
			dst = appendLong(append(dst, 0), it.Text)
		}
		dst = appendU16(dst, len(it.Values))
		for _, val := range it.Values {
			dst = appendValue(dst, val)
		}
	}
	return q.Params.append(dst, v)
}

// said is the set of flags the encoder writes: what fields say, and what only
// flags can.
func (p *Params) said() ParamFlags {
	f := p.Flags & (ParamSkipMetadata | ParamSerial | ParamTimestamp | ParamNow)
	if len(p.Values) > 0 {
		f |= ParamValues
		if len(p.Names) > 0 {
			f |= ParamNames
		}
	}
	if p.PageSize > 0 {
		f |= ParamPageSize
	}
	if p.PagingState != nil {
		f |= ParamPagingState
	}
	if p.Keyspace != nil {
		f |= ParamKeyspace
	}
	return f
}

func (p *Params) append(dst []byte, v Version) []byte {
	f := p.said()
	dst = appendConsistency(dst, p.Consistency)
	if v.flagWidth() == 4 {
		dst = appendI32(dst, int(f))
	} else {
		f &^= ParamKeyspace | ParamNow
		dst = append(dst, byte(f))
	}
	if f&ParamValues != 0 {
		dst = appendU16(dst, len(p.Values))
		for i, val := range p.Values {
			if f&ParamNames != 0 {
				dst = appendString(dst, p.Names[i])
			}
			dst = appendValue(dst, val)
		}
	}
	if f&ParamPageSize != 0 {
		dst = appendI32(dst, int(p.PageSize))
	}
	if f&ParamPagingState != 0 {
		dst = appendBytes(dst, p.PagingState)
	}
	if f&ParamSerial != 0 {
		dst = appendConsistency(dst, p.Serial)
	}
	if f&ParamTimestamp != 0 {
		dst = appendI64(dst, int64(p.Timestamp))
	}
	if f&ParamKeyspace != 0 {
		dst = appendString(dst, p.Keyspace)
	}
	if f&ParamNow != 0 {
		dst = appendI32(dst, int(p.Now))
	}
	return dst
}
