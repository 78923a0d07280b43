//! What made work necessary, for those who read logs and traces later.

/// Goes with a job through the queue. When jobs fold into one, the newest cause stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// Of the request that asked for it; `None` for what the daemon does by itself.
    pub request_id: Option<String>,
    /// W3C trace context of that request's span; `None` while traces are off.
    pub traceparent: Option<String>,
}

impl Cause {
    /// The daemon itself.
    pub const NONE: Self = Self {
        request_id: None,
        traceparent: None,
    };

    /// The trace that the work belongs to, as collectors show it.
    pub fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_deref()?.split('-').nth(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_id_is_the_second_part_of_a_traceparent() {
        let of = |text: &str| Cause {
            request_id: None,
            traceparent: Some(text.to_owned()),
        };
        let whole = of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert_eq!(whole.trace_id(), Some("0af7651916cd43dd8448eb211c80319c"));
        assert_eq!(of("nonsense").trace_id(), None);
        assert_eq!(Cause::NONE.trace_id(), None);
    }
}
