//! Frames and calls going out.

use super::error::{CallError, CastError};
use super::gateway::{GatewayMessage, level_of};
use super::links::{GatewayRef, Link, Links, count};
use ractor::rpc::CallResult;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use wire::codec::MAX_ENCODED;
use wire::{Call, Cast, Frame, NodeId, Reply, Request};

impl Links {
    /// A link that can be used, with the peer's gateway.
    pub(super) fn reach(&self, node: &NodeId) -> Option<(Arc<Link>, GatewayRef)> {
        let link = self.link(node)?;
        let gateway = link.gateway.borrow().clone()?;
        Some((link, gateway))
    }

    pub(super) fn cast(&self, to: &NodeId, frame: Frame) -> Result<(), CastError> {
        let not_linked = || CastError::NotLinked { node: to.clone() };
        let (link, gateway) = self.reach(to).ok_or_else(not_linked)?;
        let needed = frame.level();
        if needed > link.level {
            return Err(CastError::NotSpoken {
                node: to.clone(),
                level: link.level,
                needed,
            });
        }
        // Held while encoding and sending: numbers go out in order.
        let mut window = link.window();
        let (capability, number) = (link.capability_out, window.next());
        let bytes = wire::encode(&Cast::Frame {
            capability,
            number,
            frame: Box::new(frame),
        });
        let len = bytes.len();
        if len > MAX_ENCODED {
            return Err(CastError::TooLarge {
                len,
                limit: MAX_ENCODED,
            });
        }
        if window.admit(len).is_none() {
            count(&self.counters.frames_shed);
            let (frames, bytes) = (window.frames(), window.bytes());
            return Err(CastError::Congested {
                node: to.clone(),
                frames,
                bytes,
            });
        }
        gateway
            .cast(GatewayMessage::Cast(bytes))
            .map_err(|_| not_linked())?;
        drop(window);
        count(&self.counters.frames_sent);
        Ok(())
    }

    pub(super) async fn call(
        &self,
        to: &NodeId,
        call: Call,
        limit: Duration,
    ) -> Result<Reply, CallError> {
        let (link, gateway) = self
            .reach(to)
            .ok_or_else(|| CallError::NotLinked { node: to.clone() })?;
        let needed = level_of(&call);
        if needed > link.level {
            return Err(CallError::NotSpoken {
                node: to.clone(),
                level: link.level,
                needed,
            });
        }
        let request = wire::encode(&Request {
            capability: link.capability_out,
            call,
        });
        if request.len() > MAX_ENCODED {
            return Err(CallError::TooLarge {
                len: request.len(),
                limit: MAX_ENCODED,
            });
        }
        let _waiting = Waiting::admit(&link, request.len()).map_err(|(calls, bytes)| {
            count(&self.counters.calls_shed);
            CallError::Congested {
                node: to.clone(),
                calls,
                bytes,
            }
        })?;
        let asking = async {
            let _permit = Arc::clone(&link.calling).acquire_owned().await;
            gateway
                .call(|port| GatewayMessage::Call(request, port), Some(limit))
                .await
        };
        let answer = tokio::select! {
            answer = tokio::time::timeout(limit, asking) => answer,
            _ = link.handle.closed() => return Err(CallError::Lost { node: to.clone() }),
        };
        match answer {
            Ok(Ok(CallResult::Success(reply))) => Ok(wire::decode(&reply)?),
            Ok(Ok(CallResult::SenderError) | Err(_)) => Err(CallError::Lost { node: to.clone() }),
            Ok(Ok(CallResult::Timeout)) | Err(_) => Err(CallError::TimedOut {
                node: to.clone(),
                limit,
            }),
        }
    }
}

/// A call's place in its link's budget, until it is over.
struct Waiting<'a> {
    link: &'a Link,
    bytes: usize,
}

impl<'a> Waiting<'a> {
    fn admit(link: &'a Link, bytes: usize) -> Result<Self, (usize, usize)> {
        let mut waiting = link.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.admit(bytes)?;
        Ok(Self { link, bytes })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let waiting = self.link.waiting.lock();
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        waiting.release(self.bytes);
    }
}
