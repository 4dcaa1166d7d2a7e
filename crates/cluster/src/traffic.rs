//! Frames and calls going out.

use super::counters::count;
use super::error::{CallError, CastError};
use super::gateway::{GatewayMessage, level_of};
use super::link::{GatewayRef, Link};
use super::links::Links;
use super::outbox::Refusal;
use ractor::rpc::CallResult;
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use wire::codec::MAX_ENCODED;
use wire::{Call, Cast, EncodedFrame, Frame, Level, NodeId, Reply, Request};

impl Links {
    /// A link that can be used, with the peer's gateway.
    pub(super) fn reach(&self, node: &NodeId) -> Option<(Arc<Link>, GatewayRef)> {
        let link = self.link(node)?;
        let gateway = link.gateway.borrow().clone()?;
        Some((link, gateway))
    }

    pub(super) fn cast(&self, to: &NodeId, frame: Letter<'_>) -> Result<(), CastError> {
        let reached = self.reach(to);
        let (link, gateway) = reached.ok_or_else(|| CastError::NotLinked { node: to.clone() })?;
        let result = cast(&link, &gateway, frame);
        match &result {
            Ok(()) => count(&self.counters.frames_sent),
            Err(CastError::Congested { .. }) => count(&self.counters.frames_shed),
            Err(
                CastError::NotLinked { .. }
                | CastError::NotSpoken { .. }
                | CastError::TooLarge { .. },
            ) => {}
        }
        result
    }

    pub(super) async fn cast_waiting(
        &self,
        to: &NodeId,
        frame: &Frame,
        limit: Duration,
    ) -> Result<(), CastError> {
        let not_linked = || CastError::NotLinked { node: to.clone() };
        let (link, gateway) = self.reach(to).ok_or_else(not_linked)?;
        let trying = async {
            loop {
                let mut room = pin!(link.room.notified());
                // From here on no credit is missed.
                room.as_mut().enable();
                match cast(&link, &gateway, Letter::Frame(frame)) {
                    Err(CastError::Congested { .. }) => room.await,
                    done => return done,
                }
            }
        };
        let result = tokio::select! {
            biased;
            result = tokio::time::timeout(limit, trying) => result,
            _ = link.handle.closed() => return Err(not_linked()),
        };
        match result {
            Ok(result) => {
                if result.is_ok() {
                    count(&self.counters.frames_sent);
                }
                result
            }
            Err(_) => {
                count(&self.counters.frames_shed);
                Err(congested(&link))
            }
        }
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
            let late = Instant::now() + limit;
            let calling = Arc::clone(&link.calling);
            // Most calls find a permit at once; then the answer's time limit is the only timer.
            let permit = match calling.try_acquire_owned() {
                Ok(permit) => Some(permit),
                Err(_) => {
                    let waiting = Arc::clone(&link.calling).acquire_owned();
                    match tokio::time::timeout_at(late, waiting).await {
                        Ok(permit) => permit.ok(), // never closed
                        Err(_) => return Ok(CallResult::Timeout),
                    }
                }
            };
            let left = late.saturating_duration_since(Instant::now());
            let answer = gateway
                .call(|port| GatewayMessage::Call(request, port), Some(left))
                .await;
            drop(permit);
            answer
        };
        let answer = tokio::select! {
            answer = asking => answer,
            _ = link.handle.closed() => return Err(CallError::Lost { node: to.clone() }),
        };
        match answer {
            Ok(CallResult::Success(reply)) => Ok(wire::decode(&reply)?),
            Ok(CallResult::SenderError) | Err(_) => Err(CallError::Lost { node: to.clone() }),
            Ok(CallResult::Timeout) => Err(CallError::TimedOut {
                node: to.clone(),
                limit,
            }),
        }
    }
}

/// A frame on its way to one peer.
#[derive(Clone, Copy)]
pub(super) enum Letter<'a> {
    /// To be encoded.
    Frame(&'a Frame),
    /// It is.
    Encoded(&'a EncodedFrame),
}

impl Letter<'_> {
    fn level(self) -> Level {
        match self {
            Self::Frame(frame) => frame.level(),
            Self::Encoded(frame) => frame.level(),
        }
    }
}

fn cast(link: &Link, gateway: &GatewayRef, letter: Letter<'_>) -> Result<(), CastError> {
    let needed = letter.level();
    if needed > link.level {
        return Err(CastError::NotSpoken {
            node: link.peer.node.clone(),
            level: link.level,
            needed,
        });
    }
    // Held while encoding and sending: numbers go out in order.
    let mut outbox = link.outbox();
    let outcome = if link.batches() {
        link.send(&mut outbox, letter, gateway)
    } else {
        let (capability, number) = (link.capability_out, outbox.window.next());
        outbox
            .single(|| match letter {
                Letter::Frame(frame) => Cast::encode_frame(capability, number, frame),
                Letter::Encoded(frame) => Cast::of_encoded(capability, number, frame),
            })
            .map(|message| link.hand_over(gateway, message))
    };
    drop(outbox);
    outcome.map_err(|refusal| match refusal {
        Refusal::Full => congested(link),
        Refusal::TooLarge { len } => CastError::TooLarge {
            len,
            limit: MAX_ENCODED,
        },
    })
}

fn congested(link: &Link) -> CastError {
    let outbox = link.outbox();
    CastError::Congested {
        node: link.peer.node.clone(),
        frames: outbox.window.frames(),
        bytes: outbox.window.bytes(),
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
