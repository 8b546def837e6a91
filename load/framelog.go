package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"
	"time"
)

// A frame log is a local file of records, each with its length and checksum:
//
//	u32 length, u32 CRC-32C of the record, record
//
// The first record is a header that says whose log it is. A torn or damaged
// record ends the log: it is cut off there, since what follows it was never
// acknowledged by a sync, or is looked up.
type frameLog struct {
	path string

	mu    sync.Mutex // guards buf and err
	buf   []byte
	err   error
	dirty bool

	io   sync.Mutex // held while writing, so that frames stay in order
	f    *os.File
	stop chan struct{}
	done chan struct{}
}

const (
	frameHead = 8
	maxFrame  = 1 << 20
	// groupEvery is how often what was appended is written and synced.
	groupEvery = 50 * time.Millisecond
)

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// ErrForeignLog: the local ledger belongs to another plan. Nothing was sent;
// use another directory.
var ErrForeignLog = errors.New("local ledger belongs to another plan")

// openFrameLog opens or makes a log, and hands the records in it to replay.
func openFrameLog(path string, header []byte, replay func([]byte) error) (*frameLog, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600) // appends: a paused process of the same run may wake up
	if err != nil {
		return nil, fmt.Errorf("ledger %s: %w", path, err)
	}
	l := &frameLog{path: path, f: f, stop: make(chan struct{}), done: make(chan struct{})}
	if err := l.recover(header, replay); err != nil {
		f.Close()
		return nil, err
	}
	go l.flusher()
	return l, nil
}

func (l *frameLog) recover(header []byte, replay func([]byte) error) error {
	end, err := readFrames(l.f, func(n int, data []byte) error {
		if n > 0 {
			return replay(data)
		}
		if !bytes.Equal(data, header) {
			return fmt.Errorf("%s: %w", l.path, ErrForeignLog)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := l.f.Truncate(end); err != nil {
		return fmt.Errorf("ledger %s: %w", l.path, err)
	}
	if _, err := l.f.Seek(end, io.SeekStart); err != nil {
		return fmt.Errorf("ledger %s: %w", l.path, err)
	}
	if end == 0 {
		l.buf = appendFrame(nil, header)
		l.dirty = true
		return l.sync()
	}
	return nil
}

// readFrames hands whole records to f and returns where they end.
func readFrames(r io.ReaderAt, f func(n int, data []byte) error) (end int64, err error) {
	in := io.NewSectionReader(r, 0, 1<<62)
	var head [frameHead]byte
	for n := 0; ; n++ {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return end, ignoreTorn(err)
		}
		size := binary.BigEndian.Uint32(head[:4])
		if size > maxFrame {
			return end, nil
		}
		data := make([]byte, size)
		if _, err := io.ReadFull(in, data); err != nil {
			return end, ignoreTorn(err)
		}
		if crc32.Checksum(data, crcTable) != binary.BigEndian.Uint32(head[4:]) {
			return end, nil
		}
		if err := f(n, data); err != nil {
			return end, err
		}
		end += frameHead + int64(size)
	}
}

func ignoreTorn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

func appendFrame(dst, data []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(data)))
	dst = binary.BigEndian.AppendUint32(dst, crc32.Checksum(data, crcTable))
	return append(dst, data...)
}

// append adds a record. It fails once a write or sync has: after a failed fsync
// nothing that follows can be trusted.
func (l *frameLog) append(data []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	l.buf = appendFrame(l.buf, data)
	l.dirty = true
	return nil
}

// sync writes what was appended and waits until it is on disk.
func (l *frameLog) sync() error {
	l.io.Lock()
	defer l.io.Unlock()
	l.mu.Lock()
	buf, dirty, err := l.buf, l.dirty, l.err
	l.buf, l.dirty = nil, false
	l.mu.Unlock()
	if err != nil || !dirty {
		return err
	}
	_, err = l.f.Write(buf)
	if err == nil {
		err = l.f.Sync()
	}
	if err == nil {
		return nil
	}
	err = fmt.Errorf("ledger %s: %w (free some space or choose another directory, then resume)", l.path, err)
	l.mu.Lock()
	l.err = err
	l.mu.Unlock()
	return err
}

func (l *frameLog) flusher() {
	defer close(l.done)
	t := time.NewTicker(groupEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			_ = l.sync() // kept, and returned by the next append
		case <-l.stop:
			return
		}
	}
}

func (l *frameLog) close() error {
	close(l.stop)
	<-l.done
	return errors.Join(l.sync(), l.f.Close())
}
