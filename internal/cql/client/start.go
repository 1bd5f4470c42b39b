package client

import (
	"fmt"

	"helenus"
	"helenus/internal/cql/proto"
)

// start goes through the first messages one at a time, before anybody else
// can use the connection.
func (c *Conn) start() error {
	req := proto.Request{Header: proto.Header{Op: proto.OpStartup}, Options: []proto.Option{
		{Key: proto.OptionCQLVersion, Value: "3.0.0"},
	}}
	if c.cfg.DriverName != "" {
		req.Options = append(req.Options, proto.Option{Key: proto.OptionDriverName, Value: c.cfg.DriverName})
	}
	compression := ""
	switch c.cfg.Compression {
	case proto.CompressLZ4:
		compression = "lz4"
	case proto.CompressSnappy:
		compression = "snappy"
	}
	if compression != "" {
		req.Options = append(req.Options, proto.Option{Key: proto.OptionCompression, Value: compression})
	}
	// Cassandra compresses even the READY of v4.
	c.dec.SetCompression(c.cfg.Compression)
	var resp proto.Response
	if err := c.ask(&req, &resp); err != nil {
		return err
	}
	s := proto.Startup{Compression: c.cfg.Compression}
	c.dec.SetVersion(c.version)
	c.dec.SetFraming(s.Framing(c.version))
	c.w.SetFraming(s.Framing(c.version))
	c.w.SetCompression(c.cfg.Compression)
	if resp.Op == proto.OpReady {
		return nil
	}
	if resp.Op != proto.OpAuthenticate {
		return fmt.Errorf("%s in answer to STARTUP", resp.Op)
	}
	return c.authenticate(resp.Authenticator)
}

// authenticate speaks SASL PLAIN: no identity to act as, a name, a password.
func (c *Conn) authenticate(class string) error {
	if c.cfg.Username == "" {
		return helenus.Errorf(helenus.CodeBadCredentials, "the node wants a user name and password (%s)", class)
	}
	req := proto.Request{Header: proto.Header{Op: proto.OpAuthResponse},
		Token: []byte("\x00" + c.cfg.Username + "\x00" + c.cfg.Password)}
	var resp proto.Response
	if err := c.ask(&req, &resp); err != nil {
		return err
	}
	if resp.Op != proto.OpAuthSuccess {
		return fmt.Errorf("%s in answer to AUTH_RESPONSE", resp.Op)
	}
	return nil
}

// ask sends one request and waits for its answer.
func (c *Conn) ask(req *proto.Request, resp *proto.Response) error {
	c.w.End(req.AppendBody(c.w.Begin(req.HeaderFor(c.version, 0)), c.version), nil)
	if _, err := c.nc.Write(c.w.Take(nil)); err != nil {
		return err
	}
	for {
		e, ok, perr := c.dec.Next()
		if perr != nil {
			return perr
		}
		if !ok {
			n, err := c.nc.Read(c.dec.Buffer())
			c.dec.Fill(n)
			if n == 0 && err != nil {
				return err
			}
			continue
		}
		if err := resp.Decode(e); err != nil {
			return err
		}
		if resp.Err != nil {
			return resp.Err
		}
		return nil
	}
}
