//! The one remotable actor of a node.

use super::counters::count;
use super::link::Link;
use super::links::Links;
use ractor::message::{BoxedDowncastErr, SerializedMessage};
use ractor::{Actor, ActorProcessingErr, ActorRef, Message, RpcReplyPort};
use runtime::supervisor::ChildSpec;
use std::sync::Arc;
use std::time::Duration;
use wire::{Call, Cast, Frame, Level, NodeId, Reply, Request};

/// Longest time a call is served when its caller names none; ours always do.
const SERVE_LIMIT: Duration = Duration::from_secs(30);

/// The actor's name on `node`. The node is part of it so that several can live in one process.
pub(super) fn name(node: &NodeId) -> String {
    format!("gateway:{node}")
}

pub(super) fn child(links: &Arc<Links>) -> ChildSpec {
    let links = Arc::clone(links);
    ChildSpec::actor("gateway", move |supervisor| {
        let gateway = Gateway {
            links: Arc::clone(&links),
        };
        async move {
            let name = name(gateway.links.me());
            let (actor, _) = Actor::spawn_linked(Some(name), gateway, (), supervisor).await?;
            Ok(actor.get_cell())
        }
    })
}

/// What gateways send each other, encoded by `wire`.
pub(super) enum GatewayMessage {
    /// A [`wire::Cast`].
    Cast(Vec<u8>),
    /// A [`wire::Request`]; the answer is an encoded [`wire::Reply`].
    Call(Vec<u8>, RpcReplyPort<Vec<u8>>),
    /// A peer's message that is neither. Refused like any other bad input; an error here would
    /// let a peer crash the actor.
    Malformed,
}

const CAST: &str = "cast";
const CALL: &str = "call";

impl Message for GatewayMessage {
    fn serializable() -> bool {
        true
    }

    fn serialize(self) -> Result<SerializedMessage, BoxedDowncastErr> {
        match self {
            Self::Cast(args) => Ok(SerializedMessage::Cast {
                variant: CAST.to_owned(),
                args,
                metadata: None,
            }),
            Self::Call(args, reply) => Ok(SerializedMessage::Call {
                variant: CALL.to_owned(),
                args,
                reply,
                metadata: None,
            }),
            Self::Malformed => Err(BoxedDowncastErr),
        }
    }

    fn deserialize(message: SerializedMessage) -> Result<Self, BoxedDowncastErr> {
        Ok(match message {
            SerializedMessage::Cast { variant, args, .. } if variant == CAST => Self::Cast(args),
            SerializedMessage::Call {
                variant,
                args,
                reply,
                ..
            } if variant == CALL => Self::Call(args, reply),
            SerializedMessage::Cast { .. }
            | SerializedMessage::Call { .. }
            | SerializedMessage::CallReply(..) => Self::Malformed,
        })
    }
}

/// The level that a call needs, what it carries included.
pub(super) fn level_of(call: &Call) -> Level {
    match call {
        Call::Propose(record) => call.level().max(record.act.level()),
        Call::Consensus(_)
        | Call::GroupInfo
        | Call::Model(_)
        | Call::Cosign { .. }
        | Call::ReadIndex
        | Call::Holdings
        | Call::Opinion(_) => call.level(),
    }
}

struct Gateway {
    links: Arc<Links>,
}

impl Gateway {
    fn cast(&self, bytes: &[u8]) {
        match Cast::decode(bytes) {
            Ok(Cast::Frame {
                capability,
                number,
                frame,
            }) => {
                let Some(link) = self.links.link_by_capability(&capability) else {
                    return self.refuse("a frame without a valid capability");
                };
                self.frame(&link, number, *frame);
            }
            Ok(Cast::Batch {
                capability,
                through,
                first,
                frames,
            }) => {
                let Some(link) = self.links.link_by_capability(&capability) else {
                    return self.refuse("a batch without a valid capability");
                };
                if !link.batches() {
                    return self.refuse("a batch above its link's level");
                }
                link.credit(through);
                for (place, frame) in (0..).zip(frames) {
                    self.frame(&link, first.saturating_add(place), frame);
                }
            }
            Ok(Cast::Credit {
                capability,
                through,
            }) => match self.links.link_by_capability(&capability) {
                Some(link) => link.credit(through),
                None => self.refuse("a credit without a valid capability"),
            },
            Err(error) => self.refuse(&error.to_string()),
        }
    }

    fn frame(&self, link: &Link, number: u64, frame: Frame) {
        let frame = if frame.level() <= link.level {
            Some(frame)
        } else {
            self.refuse("a frame above its link's level");
            None
        };
        if link.inbound.try_send((number, frame)).is_err() {
            self.refuse("a frame beyond its sender's window");
            link.handle.close("the peer ignores its window");
        }
    }

    fn call(&self, bytes: &[u8], port: RpcReplyPort<Vec<u8>>) {
        let request: Request = match wire::decode(bytes) {
            Ok(request) => request,
            Err(error) => return self.answer(port, &Reply::Refused(error.to_string())),
        };
        let Some(link) = self.links.link_by_capability(&request.capability) else {
            return self.answer(
                port,
                &Reply::Refused("no valid capability with this call".to_owned()),
            );
        };
        let needed = level_of(&request.call);
        if needed > link.level {
            let level = link.level;
            let why = format!("a call of level {needed} on a link of level {level}");
            return self.answer(port, &Reply::Refused(why));
        }
        let Ok(permit) = Arc::clone(&link.serving).try_acquire_owned() else {
            return self.answer(
                port,
                &Reply::Refused("too many calls at once; try again".to_owned()),
            );
        };
        let handler = Arc::clone(&self.links.handler);
        tokio::spawn(async move {
            let limit = port.get_timeout().unwrap_or(SERVE_LIMIT).min(SERVE_LIMIT);
            let serving = handler.call(link.peer.node.clone(), request.call);
            // Past the limit the caller has gone: nobody to answer.
            if let Ok(reply) = tokio::time::timeout(limit, serving).await {
                send(port, &reply);
            }
            drop(permit);
        });
    }

    fn answer(&self, port: RpcReplyPort<Vec<u8>>, refusal: &Reply) {
        if let Reply::Refused(why) = refusal {
            self.refuse(why);
        }
        send(port, refusal);
    }

    fn refuse(&self, why: &str) {
        count(&self.links.counters.gateway_refused);
        tracing::warn!("gateway refused {why}");
    }
}

fn send(port: RpcReplyPort<Vec<u8>>, reply: &Reply) {
    // The caller may have given up meanwhile.
    let _ = port.send(wire::encode(reply));
}

impl Actor for Gateway {
    type Msg = GatewayMessage;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Self::Msg>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        message: Self::Msg,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match message {
            GatewayMessage::Cast(bytes) => self.cast(&bytes),
            GatewayMessage::Call(bytes, port) => self.call(&bytes, port),
            GatewayMessage::Malformed => self.refuse("a message that no gateway sends"),
        }
        Ok(())
    }
}

/// The peer's gateway among what its session brought along.
pub(super) fn find(session: &ractor::ActorCell, link: &Link) -> Option<ActorRef<GatewayMessage>> {
    let wanted = name(&link.peer.node);
    session
        .get_children()
        .into_iter()
        .find(|child| {
            !child.get_id().is_local() && child.get_name().as_deref() == Some(wanted.as_str())
        })
        .map(ActorRef::from)
}
