//! A snapshot is a prefix of the file of leaves: nothing is copied to build one, and nothing that
//! proofs need is ever compacted away. Only Raft's log is.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};

/// The name a snapshot has while it comes in.
pub(super) const INCOMING: &str = "leaves.incoming";

/// Reads a prefix of a file, or writes a whole one.
///
/// The reads and writes are short (one chunk) and block; openraft runs them in a task of their own.
pub(crate) struct LeavesFile {
    file: File,
    path: PathBuf,
    /// Reading ends here; `None` while the file is being received.
    limit: Option<u64>,
    position: u64,
}

impl LeavesFile {
    /// The first `limit` bytes of `path`.
    pub(super) fn prefix(path: &Path, limit: u64) -> io::Result<Self> {
        Ok(Self {
            file: File::open(path)?,
            path: path.to_owned(),
            limit: Some(limit),
            position: 0,
        })
    }

    /// An empty file to receive into.
    pub(super) fn incoming(dir: &Path) -> io::Result<Self> {
        let path = dir.join(INCOMING);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)?;
        Ok(Self {
            file,
            path,
            limit: None,
            position: 0,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn len(&self) -> io::Result<u64> {
        self.limit
            .map_or_else(|| Ok(self.file.metadata()?.len()), Ok)
    }

    fn read(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        let left = self.len()?.saturating_sub(self.position);
        let most = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.remaining());
        let read = self
            .file
            .read_at(buffer.initialize_unfilled_to(most), self.position)?;
        buffer.advance(read);
        self.position += read as u64;
        Ok(())
    }
}

impl AsyncRead for LeavesFile {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(self.read(buffer))
    }
}

impl AsyncWrite for LeavesFile {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.limit.is_some() {
            return Poll::Ready(Err(io::Error::other(
                "a snapshot that is being sent is not written to",
            )));
        }
        let written = self.file.write_at(bytes, self.position);
        if let Ok(count) = written {
            self.position += count as u64;
        }
        Poll::Ready(written)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncSeek for LeavesFile {
    fn start_seek(mut self: Pin<&mut Self>, to: io::SeekFrom) -> io::Result<()> {
        let target = match to {
            io::SeekFrom::Start(offset) => Some(offset),
            io::SeekFrom::End(by) => self.len()?.checked_add_signed(by),
            io::SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position =
            target.ok_or_else(|| io::Error::other("seek before the start of a snapshot"))?;
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Poll::Ready(Ok(self.position))
    }
}
