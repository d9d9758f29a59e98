package proc

import (
	"os"
)

// channels are the pipes between a host and one worker, both ends.
type channels struct {
	requestsR, requestsW *os.File
	repliesR, repliesW   *os.File
	controlR, controlW   *os.File
	stderrR, stderrW     *os.File
	blobsWorker          *os.File // nil where there is no descriptor channel
	blobsHost            *os.File
}

// newChannels opens them all or none.
func newChannels() (c *channels, err error) {
	c = &channels{}
	defer func() {
		if err != nil {
			c.closeChild()
			c.closeHost()
		}
	}()
	if c.requestsR, c.requestsW, err = blockingPipe(); err != nil {
		return nil, err
	}
	if c.repliesR, c.repliesW, err = blockingPipe(); err != nil {
		return nil, err
	}
	if c.controlR, c.controlW, err = blockingPipe(); err != nil {
		return nil, err
	}
	if c.stderrR, c.stderrW, err = os.Pipe(); err != nil {
		return nil, err
	}
	if c.blobsHost, c.blobsWorker, err = blobChannel(); err != nil {
		return nil, err
	}
	return c, nil
}

// child lists what the worker inherits, in Marker's order.
func (c *channels) child() []*os.File {
	files := []*os.File{c.requestsR, c.repliesW, c.controlR}
	if c.blobsWorker != nil {
		files = append(files, c.blobsWorker)
	}
	return files
}

func (c *channels) closeChild() {
	closeAll(c.requestsR, c.repliesW, c.controlR, c.stderrW, c.blobsWorker)
}

func (c *channels) closeHost() {
	closeAll(c.requestsW, c.repliesR, c.controlW, c.stderrR, c.blobsHost)
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}
