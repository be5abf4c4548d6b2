//! A file without the records that were quarantined.

use std::io::{self, Read};

/// What is kept of a quarantined record at most; of one that has as much, the rest of the line is
/// left out, too.
pub(super) const KEPT: u64 = 4 * 1024;

/// Where a quarantined record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuarantinedPlace {
    /// First byte.
    pub offset: u64,
    /// Bytes of it that were kept.
    pub kept: u64,
}

/// A file whose quarantined records are blank: they become carriage returns, so that neither offsets
/// nor the numbers of the lines change.
pub(super) struct Masked<R> {
    file: R,
    at: u64,
    places: Vec<QuarantinedPlace>,
    next: usize,
    left: u64,
    to_line_end: bool,
}

impl<R: Read> Read for Masked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        for byte in &mut buffer[..read] {
            self.mask(byte);
            self.at += 1;
        }
        Ok(read)
    }
}

impl<R> Masked<R> {
    pub(super) fn new(file: R, places: &[QuarantinedPlace]) -> Self {
        Self {
            file,
            at: 0,
            places: places.to_vec(),
            next: 0,
            left: 0,
            to_line_end: false,
        }
    }

    fn mask(&mut self, byte: &mut u8) {
        if let Some(place) = self.places.get(self.next)
            && place.offset == self.at
        {
            self.next += 1;
            self.left = place.kept;
            self.to_line_end = place.kept >= KEPT;
        }
        if self.left > 0 {
            self.left -= 1;
        } else if *byte == b'\n' || !self.to_line_end {
            self.to_line_end = false;
            return;
        }
        if *byte != b'\n' {
            *byte = b'\r';
        }
    }
}
