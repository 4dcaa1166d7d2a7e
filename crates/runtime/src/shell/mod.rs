//! The one generic actor around a [`Machine`]: take the mail, decide, perform the outputs in
//! order, arm one timer for the machine's next deadline.

#[cfg(test)]
mod tests;

use crate::clock;
use crate::mailbox::{Address, Mail};
use futures::future::BoxFuture;
use machine::{Instant, Machine};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::future::Future;
use std::marker::PhantomData;
use tokio::task::AbortHandle;

/// How a machine's outputs become deeds. One implementation per machine and place.
pub trait Effects<M: Machine>: Send + 'static {
    /// Performs one output to its end before the next one is taken, so that "persist" is done
    /// when "send" begins. Slow work goes to a worker that posts its result to
    /// `ctx.address()`. An error is a crash: the supervisor restarts the actor, outputs not yet
    /// performed are dropped, and recovery happens in the factory.
    fn perform(
        &mut self,
        ctx: &ShellContext<M>,
        output: M::Output,
    ) -> impl Future<Output = Result<(), ActorProcessingErr>> + Send;

    /// Looks at the machine after every input, to publish what others may see of its state.
    fn observe(&mut self, _machine: &M) {}
}

/// What effects can use of their shell.
pub struct ShellContext<M: Machine> {
    address: Address<M::Input>,
}

impl<M: Machine> ShellContext<M> {
    /// The machine's own address, for workers to answer to.
    pub fn address(&self) -> &Address<M::Input> {
        &self.address
    }

    /// Now, on the time line that the machine sees.
    pub fn now(&self) -> Instant {
        clock::now()
    }
}

/// What a shell is started with: where it listens, and how its machine is recovered.
pub(crate) struct Recipe<M: Machine, E> {
    pub(crate) address: Address<M::Input>,
    pub(crate) recover: BoxFuture<'static, Result<(M, E), ActorProcessingErr>>,
}

pub(crate) struct Shell<M, E>(PhantomData<fn() -> (M, E)>);

impl<M, E> Shell<M, E> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

/// A running shell.
pub(crate) struct ShellState<M: Machine, E> {
    machine: M,
    effects: E,
    ctx: ShellContext<M>,
    timer: Option<Timer>,
    /// Number of the latest timer: an older one that fires late is ignored.
    armed: u64,
    /// Empty between inputs; kept for its allocation.
    outputs: Vec<M::Output>,
}

struct Timer {
    deadline: Instant,
    task: AbortHandle,
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<M: Machine, E: Effects<M>> ShellState<M, E> {
    async fn settle(
        &mut self,
        myself: &ActorRef<Mail<M::Input>>,
    ) -> Result<(), ActorProcessingErr> {
        for output in self.outputs.drain(..) {
            self.effects.perform(&self.ctx, output).await?;
        }
        self.effects.observe(&self.machine);
        self.arm(myself);
        Ok(())
    }

    fn arm(&mut self, myself: &ActorRef<Mail<M::Input>>) {
        let deadline = self.machine.deadline();
        if self.timer.as_ref().map(|timer| timer.deadline) == deadline {
            return;
        }
        self.armed += 1;
        let (number, myself) = (self.armed, myself.clone());
        self.timer = deadline.map(|deadline| Timer {
            deadline,
            task: tokio::spawn(async move {
                clock::sleep_until(deadline).await;
                // Fails only when the actor has ended, and then nobody waits for the tick.
                let _ = myself.send_message(Mail::Tick(number));
            })
            .abort_handle(),
        });
    }
}

impl<M: Machine, E: Effects<M>> Actor for Shell<M, E> {
    type Msg = Mail<M::Input>;
    type State = ShellState<M, E>;
    type Arguments = Recipe<M, E>;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        recipe: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let (machine, effects) = recipe.recover.await?;
        let ctx = ShellContext {
            address: recipe.address.clone(),
        };
        let mut state = ShellState {
            machine,
            effects,
            ctx,
            timer: None,
            armed: 0,
            outputs: Vec::new(),
        };
        state.effects.observe(&state.machine);
        state.arm(&myself);
        recipe.address.occupy(myself);
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        mail: Self::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match mail {
            Mail::Letter(input, mut ticket) => {
                ticket.delivered();
                state
                    .machine
                    .handle(clock::now(), input, &mut state.outputs);
                let done = state.settle(&myself).await;
                drop(ticket); // the letter has its place until all is done
                done
            }
            Mail::Tick(number) if number == state.armed => {
                state.timer = None;
                state.machine.tick(clock::now(), &mut state.outputs);
                state.settle(&myself).await
            }
            Mail::Tick(_) => Ok(()),
        }
    }

    async fn post_stop(
        &self,
        myself: ActorRef<Self::Msg>,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        state.ctx.address.vacate(&myself);
        Ok(())
    }
}
