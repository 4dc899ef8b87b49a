//! Which trace a request belongs to: the header `traceparent` (W3C, "Trace Context").

use http::{HeaderMap, HeaderValue};

pub(super) const TRACEPARENT: &str = "traceparent";

/// One place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SpanContext {
    pub(super) trace: u128,
    pub(super) span: u64,
    /// Whether who began the trace wants it recorded.
    pub(super) sampled: bool,
}

impl SpanContext {
    /// What the request says, if it says it once and right.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).into_iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let mut parts = value.to_str().ok()?.split('-');
        let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
        let (flags, rest) = (parts.next()?, parts.next());
        let lengths = [(version, 2), (trace, 32), (span, 16), (flags, 2)];
        let hexadecimal = |(text, length): (&str, usize)| {
            text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        // Later versions may have more at the end.
        if !lengths.into_iter().all(hexadecimal) || version == "ff" || (version == "00" && rest.is_some()) {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|span| *span != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self { trace, span, sampled: flags & 1 == 1 })
    }

    /// The beginning of a trace.
    pub(super) fn root() -> Self {
        Self { trace: fastrand::u128(1..), span: fastrand::u64(1..), sampled: true }
    }

    /// The next place in the same trace.
    pub(super) fn child(self) -> Self {
        Self { span: fastrand::u64(1..), ..self }
    }

    pub(super) fn header(self) -> Option<HeaderValue> {
        let Self { trace, span, sampled } = self;
        format!("00-{trace:032x}-{span:016x}-{:02x}", u8::from(sampled)).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Option<SpanContext> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, value.parse().unwrap());
        }
        SpanContext::of(&headers)
    }

    #[test]
    fn what_is_said_right_is_taken() {
        let right = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = of(&[right]).unwrap();
        assert_eq!(context.header().unwrap(), right);
        assert_eq!(context.child().trace, context.trace);
        assert!(!of(&["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"]).unwrap().sampled);
        assert!(of(&["01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-09-x"]).unwrap().sampled);
        let root = SpanContext::root();
        assert_eq!(of(&[root.header().unwrap().to_str().unwrap()]), Some(root));
    }

    #[test]
    fn what_is_not_counts_as_nothing() {
        let right = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for wrong in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
        ] {
            assert_eq!(of(&[wrong]), None, "{wrong}");
        }
        assert_eq!(of(&[right, right]), None);
        assert_eq!(of(&[]), None);
    }
}
