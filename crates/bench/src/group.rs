//! A group of member processes, ours or etcd's, started, asked, killed and brought back alike.

use crate::Failure;
use crate::grpc::{Client, Status};
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Far more than electing a leader takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at a member that is coming up.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A member answers about itself from memory.
const STATUS_LIMIT: Duration = Duration::from_secs(1);

/// How one member is started, and where it answers.
pub struct MemberPlan {
    /// Its program.
    pub program: PathBuf,
    /// With these arguments.
    pub arguments: Vec<String>,
    /// Where it serves [`grpc`](crate::grpc).
    pub clients: SocketAddr,
    /// Takes its output.
    pub log: PathBuf,
}

struct Member {
    plan: MemberPlan,
    process: Option<Child>,
}

/// Members that make one log. Killed when dropped.
pub struct Group {
    /// For the table.
    pub name: String,
    members: Vec<Member>,
}

impl Group {
    /// Starts all members and waits until all agree on a leader.
    pub async fn start(name: impl Into<String>, plans: Vec<MemberPlan>) -> Result<Self, Failure> {
        let members = plans.into_iter().map(|plan| Member {
            plan,
            process: None,
        });
        let mut group = Self {
            name: name.into(),
            members: members.collect(),
        };
        for at in 0..group.members.len() {
            group.bring_back(at)?;
        }
        group.settled().await?;
        Ok(group)
    }

    /// How many members.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// Where member `at` serves its clients.
    pub fn address(&self, at: usize) -> SocketAddr {
        self.members[at].plan.clients
    }

    /// The process of member `at`, if it runs.
    pub fn pid(&self, at: usize) -> Option<u32> {
        self.members[at].process.as_ref().map(Child::id)
    }

    /// Starts member `at`, again after [`kill`](Self::kill).
    pub fn bring_back(&mut self, at: usize) -> Result<(), Failure> {
        let Member { plan, process } = &mut self.members[at];
        let log = File::options().create(true).append(true).open(&plan.log)?;
        let child = Command::new(&plan.program)
            .args(&plan.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn();
        let child =
            child.map_err(|error| format!("cannot start {}: {error}", plan.program.display()))?;
        *process = Some(child);
        Ok(())
    }

    /// Kills member `at` (SIGKILL); the moment at which that was done.
    pub fn kill(&mut self, at: usize) -> Result<Instant, Failure> {
        let Some(mut process) = self.members[at].process.take() else {
            return Err(format!("member {at} of {} does not run", self.name).into());
        };
        let moment = Instant::now();
        process.kill()?;
        process.wait()?;
        Ok(moment)
    }

    /// Waits until all members answer and name the same leader; gives its place.
    pub async fn settled(&self) -> Result<usize, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(leader) = self.leader().await {
                return Ok(leader);
            }
            if Instant::now() > deadline {
                let logs: Vec<_> = self
                    .members
                    .iter()
                    .map(|m| m.plan.log.display().to_string())
                    .collect();
                return Err(format!(
                    "{} has no leader after {PATIENCE:?}; its members wrote {}",
                    self.name,
                    logs.join(", ")
                )
                .into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn leader(&self) -> Option<usize> {
        let mut said = Vec::new();
        for member in &self.members {
            let ask = async { Client::connect(member.plan.clients).await?.status().await };
            said.push(tokio::time::timeout(STATUS_LIMIT, ask).await.ok()?.ok()?);
        }
        agreed(&said)
    }
}

/// The place of the member that all name as the leader.
fn agreed(said: &[Status]) -> Option<usize> {
    let leader = said.first()?.leader;
    let all = leader != 0 && said.iter().all(|status| status.leader == leader);
    said.iter()
        .position(|status| all && status.member == leader)
}

impl Drop for Group {
    fn drop(&mut self) {
        for process in self
            .members
            .iter_mut()
            .filter_map(|member| member.process.as_mut())
        {
            // Fails only when it has ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_is_one_that_all_name() {
        let status = |member, leader| Status { member, leader };
        assert_eq!(agreed(&[status(7, 9), status(9, 9)]), Some(1));
        assert_eq!(agreed(&[status(7, 9), status(9, 7)]), None);
        assert_eq!(agreed(&[status(7, 0), status(9, 0)]), None);
        assert_eq!(agreed(&[status(7, 5), status(9, 5)]), None);
        assert_eq!(agreed(&[]), None);
    }
}
