//! A bounded view of a file, and what is counted while it moves on.

use std::io::{self, Read, Seek, SeekFrom};

use memchr::memchr_iter;

/// Bytes that are looked at together at most.
const CAPACITY: usize = 4 * 1024 * 1024;

/// A stretch of a file: bytes are consumed at its front and read at its back.
pub(super) struct Window<R> {
    file: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
    /// Where in the file the stretch begins.
    offset: u64,
    /// Up to where in the buffer lines and checksum are counted: many bytes together cost less.
    counted: usize,
    /// Line of the first byte that is not counted, from 1.
    line: u64,
    checksum: crc32fast::Hasher,
}

impl<R: Read> Window<R> {
    /// A view of `file`, which stands at `offset`, on line `line`.
    pub(super) fn new(file: R, offset: u64, line: u64) -> Self {
        Self {
            file,
            buffer: vec![0; CAPACITY],
            start: 0,
            end: 0,
            ended: false,
            offset,
            counted: 0,
            line,
            checksum: crc32fast::Hasher::new(),
        }
    }

    /// The file, standing anywhere.
    pub(super) fn into_file(self) -> R {
        self.file
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Line of the first byte, from 1.
    pub(super) fn line(&mut self) -> u64 {
        self.count();
        self.line
    }

    /// Whether [`Self::bytes`] reach to the end of the file.
    pub(super) const fn reaches_end(&self) -> bool {
        self.ended
    }

    /// Reads until `wanted` bytes (at most the capacity) are there or the file ends.
    pub(super) fn ensure(&mut self, wanted: usize) -> io::Result<()> {
        if self.end - self.start >= wanted || self.ended {
            return Ok(());
        }
        self.count();
        if self.buffer.is_empty() {
            self.buffer = vec![0; CAPACITY];
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        self.counted = 0;
        while self.end < self.buffer.len() && !self.ended {
            match self.file.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Moves on.
    pub(super) const fn consume(&mut self, count: usize) {
        self.offset += count as u64;
        self.start += count;
    }

    /// Counts what was consumed.
    fn count(&mut self) {
        let bytes = &self.buffer[self.counted..self.start];
        self.checksum.update(bytes);
        self.line += memchr_iter(b'\n', bytes).count() as u64;
        self.counted = self.start;
    }

    /// The checksum (CRC-32) of everything consumed since the last call.
    pub(super) fn take_checksum(&mut self) -> u32 {
        self.count();
        std::mem::take(&mut self.checksum).finalize()
    }
}

impl<R: Read + Seek> Window<R> {
    /// Lets go of the bytes that were not consumed, and of the memory for them: they are read again,
    /// with what the file has by then.
    pub(super) fn rest(&mut self) -> io::Result<()> {
        self.count();
        self.file.seek(SeekFrom::Start(self.offset))?;
        self.buffer = Vec::new();
        (self.start, self.end, self.counted) = (0, 0, 0);
        self.ended = false;
        Ok(())
    }
}
