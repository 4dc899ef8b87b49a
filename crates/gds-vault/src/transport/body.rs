//! Reading an answer's body: whole, bounded, wiped.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::failure;
use crate::error::{Error, ErrorKind};
use crate::wiped::WipedBuffer;

/// Most that is reserved because a header says so; beyond, the buffer grows as the bytes come.
const MAX_RESERVED: u64 = 1 << 20;

/// The whole body, if it is no larger than `max` bytes.
///
/// What is announced as larger is not read at all. The bytes are copied once, from the connection's buffer (which
/// is shared and reused) to one of their own that is wiped.
pub(super) async fn read(mut incoming: Incoming, max: usize) -> Result<Bytes, Error> {
    let hint = incoming.size_hint();
    if hint.lower() > max as u64 {
        return Err(too_large(max));
    }
    let reserve = usize::try_from(hint.lower().min(MAX_RESERVED)).unwrap_or_default();
    let mut whole = WipedBuffer::with_capacity(reserve);
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| failure::of_body(&error))?;
        if let Some(chunk) = frame.data_ref() {
            if whole.len() + chunk.len() > max {
                return Err(too_large(max));
            }
            whole.extend(chunk);
        }
    }
    Ok(whole.into_bytes())
}

fn too_large(max: usize) -> Error {
    Error::new(ErrorKind::AnswerTooLarge, format!("the limit is {max} bytes"))
}
