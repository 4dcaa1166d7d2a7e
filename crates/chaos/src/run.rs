//! One run from the first process to the verdict.

use crate::Arguments;
use crate::house::{House, NODES, name};
use crate::load::{self, Post};
use crate::plan::{self, Plan, Powers, Promise};
use crate::progress::Progress;
use crate::verdict;
use crate::watch::{Sight, Watch};
use crate::wounds::Wounds;
use local::{Lagging, NodeState, NodeView};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How often the nodes are asked.
const LOOK: Duration = Duration::from_millis(400);
/// Time for the cluster to elect, create its key group and join it, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(90);
/// Once all faults are undone, the cluster is whole again within this: a restart, an election, a
/// rejoining of the key group, each several seconds on a busy machine.
pub(crate) const HEAL_LIMIT: Duration = Duration::from_secs(60);

/// What a node says last when its disk is full, and within how many lines.
const NO_ROOM: &str = "No space left on device";
const LAST_LINES: usize = 10;

/// A run.
pub(crate) struct Run<'a> {
    pub(crate) arguments: &'a Arguments,
    pub(crate) house: House,
    pub(crate) runtime: Runtime,
    pub(crate) progress: Progress,
    pub(crate) plan: Plan,
    pub(crate) post: Arc<Post>,
    pub(crate) watch: Watch,
    pub(crate) wounds: Wounds,
    pub(crate) lagging: BTreeMap<u8, Lagging>,
    pub(crate) views: Vec<NodeView>,
    /// Rounds closed when the last fault had healed.
    pub(crate) rounds_healed: u64,
    pub(crate) played: usize,
    /// Processes that ended by themselves.
    pub(crate) ended: Vec<String>,
    pub(crate) failures: Vec<String>,
    pub(crate) glasshouse: PathBuf,
    promised: bool,
    stopped: Arc<AtomicBool>,
}

/// Runs everything; true if all was well.
pub(crate) fn run(arguments: &Arguments, apart: bool) -> Result<bool, Failure> {
    let glasshouse = match &arguments.glasshouse {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("glasshouse"),
    };
    if !glasshouse.is_file() {
        return Err(format!("{} is missing; build it with `cargo build --release -p node` or run `cargo xtask chaos`", glasshouse.display()).into());
    }
    let powers = Powers {
        cables: apart,
        disks: apart,
    };
    let plan = choose_plan(arguments, powers)?;
    let (dir, keep) = place(arguments.dir.as_deref())?;
    let house = House::build(&dir, &glasshouse, powers, arguments.broker)?;
    let written = serde_json::to_string_pretty(&plan)? + "\n";
    std::fs::write(dir.join("plan.json"), written)?;
    let post = Post::new(house.doors.clone(), house.roots.clone());
    let mut run = Run {
        arguments,
        // Its threads stand where this one does: outside the nodes' networks.
        runtime: tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?,
        house,
        progress: Progress::new(),
        plan,
        post: Arc::new(post),
        watch: Watch::new(NODES),
        wounds: Wounds::default(),
        lagging: BTreeMap::new(),
        views: Vec::new(),
        rounds_healed: 0,
        played: 0,
        ended: Vec::new(),
        failures: Vec::new(),
        glasshouse,
        promised: true,
        stopped: Arc::default(),
    };
    let outcome = run.all();
    run.progress.erase();
    run.lagging.clear();
    // Whatever became of it: no process is left, and then no disk is in use.
    let down = run.house.cluster.down();
    run.runtime.block_on(run.house.brokers.stop());
    let good = matches!(outcome, Ok(true)) && down.is_ok();
    for disk in std::mem::take(&mut run.house.disks) {
        if keep || !good {
            disk.keep()?;
        }
    }
    drop(run);
    if good && !keep {
        std::fs::remove_dir_all(&dir)?;
    } else {
        println!(
            "Plan, configurations, logs and ledgers are in {}",
            dir.display()
        );
    }
    if !good {
        println!(
            "The same plan again: cargo xtask chaos --for {}s --seed {} (or --plan {})",
            arguments.span.as_secs(),
            arguments.seed,
            dir.join("plan.json").display()
        );
    }
    outcome
}

fn choose_plan(arguments: &Arguments, powers: Powers) -> Result<Plan, Failure> {
    let Some(path) = &arguments.plan else {
        return Ok(plan::draw(arguments.seed, NODES, arguments.span, powers));
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read the plan {}: {error}", path.display()))?;
    let plan: Plan = serde_json::from_str(&text)
        .map_err(|error| format!("{} is no plan of faults: {error}", path.display()))?;
    plan.check(NODES, powers)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(plan)
}

/// The run's folder, and whether the user wants to keep it.
fn place(dir: Option<&Path>) -> Result<(PathBuf, bool), Failure> {
    if let Some(dir) = dir {
        if dir.exists() {
            return Err(format!(
                "{} exists already; name a new folder with --dir",
                dir.display()
            )
            .into());
        }
        std::fs::create_dir_all(dir)?;
        return Ok((std::path::absolute(dir)?, true));
    }
    let mut random = [0u8; 4];
    getrandom::fill(&mut random)?;
    let dir = std::env::temp_dir().join(format!("glasshouse-chaos-{}", hex::encode(random)));
    std::fs::create_dir_all(&dir)?;
    Ok((dir, false))
}

impl Run<'_> {
    fn all(&mut self) -> Result<bool, Failure> {
        self.heed_signals()?;
        let strikes: usize = self.plan.episodes.iter().map(|one| one.strikes.len()).sum();
        self.progress.say(&format!(
            "{NODES} nodes, {}; seed {}: {strikes} faults in {} episodes",
            self.house.cluster.state()?.network.describe(),
            self.plan.seed,
            self.plan.episodes.len(),
        ));
        self.runtime.block_on(self.house.brokers.start())?;
        // One by one: starting all at once would make the network anew, in which we stand already.
        for node in 1..=NODES {
            self.house.cluster.start(&name(node))?;
        }
        self.runtime.block_on(self.house.brokers.ready())?;
        self.come_up()?;
        self.progress
            .say("the cluster stands; gear and mainframe begin");
        let (stop, stopped) = watch::channel(false);
        // Dropped with whatever is under way, if the run is stopped.
        let mut senders = self.begin_load(&stopped);
        self.watch.begin(self.progress.now());
        let outcome = self.perform();
        if let Err(error) = &outcome {
            self.failures.push(error.to_string());
        }
        self.undo_all();
        if self.stopped() {
            return Err("stopped, as asked".into());
        }
        self.progress.say("the plan is played; the load ends");
        self.watch.end(self.progress.now());
        stop.send_replace(true);
        while !senders.is_empty() {
            self.look()?;
            while let Some(joined) = senders.try_join_next() {
                match joined {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => self.failures.push(format!("load: {error}")),
                    Err(error) => self.failures.push(format!("load: {error}")),
                }
            }
        }
        self.settle()
    }

    fn heed_signals(&self) -> Result<(), Failure> {
        let _inside = self.runtime.enter();
        for kind in [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ] {
            let (mut stream, stopped) = (signal(kind)?, self.stopped.clone());
            self.runtime.spawn(async move {
                stream.recv().await;
                stopped.store(true, Ordering::Relaxed);
            });
        }
        Ok(())
    }

    /// Ctrl-C, or asked to end otherwise.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn come_up(&mut self) -> Result<(), Failure> {
        let deadline = self.progress.now() + START_LIMIT;
        loop {
            self.look()?;
            let Some(lacks) = self.lacks() else {
                return Ok(());
            };
            if self.stopped() {
                return Err("stopped before the cluster stood".into());
            }
            if self.progress.now() > deadline || !self.ended.is_empty() {
                return Err(format!(
                    "the cluster did not stand within {} s: {lacks} {}",
                    START_LIMIT.as_secs(),
                    self.ended.join("; ")
                )
                .into());
            }
        }
    }

    fn begin_load(&self, stopped: &watch::Receiver<bool>) -> JoinSet<Result<(), Failure>> {
        let mut senders = JoinSet::new();
        let on = self.runtime.handle();
        for (index, gear) in (0u8..).zip(load::devices(NODES)) {
            let (post, stopped) = (self.post.clone(), stopped.clone());
            senders.spawn_on(load::gear(gear, index % NODES + 1, post, stopped), on);
        }
        let (client, post) = (self.house.brokers.client(), self.post.clone());
        senders.spawn_on(
            load::mainframe(client, crate::brokers::TOPIC, post, stopped.clone()),
            on,
        );
        senders
    }

    /// Plays the plan. An episode begins at its time, or when all before it has healed.
    fn perform(&mut self) -> Result<(), Failure> {
        let begun = self.progress.now();
        let mut late = Duration::ZERO;
        let episodes = self.plan.episodes.clone();
        for (index, episode) in episodes.iter().enumerate() {
            let starts = Duration::from_millis(episode.at_ms());
            while self.progress.now() < begun + late + starts {
                self.look()?;
                if self.stopped() {
                    return Err("stopped, as asked".into());
                }
            }
            late = self.progress.now() - begun - starts;
            if begun + self.arguments.span < self.progress.now() {
                self.progress
                    .say("the rest of the plan has no time left: healing took longer than planned");
                break;
            }
            self.promised = episode.promise == Promise::Progress;
            self.progress.say(&match episode.promise {
                Promise::Progress => format!("episode {}: a majority stays", index + 1),
                Promise::Safety => format!("episode {}: the majority goes", index + 1),
            });
            let mut strikes = episode.strikes.iter().peekable();
            loop {
                let now = self.progress.now() - begun;
                while let Some(strike) = strikes.next_if(|strike| strike.at() + late <= now) {
                    self.strike(index + 1, episode, strike)?;
                }
                if strikes.peek().is_none() && self.wounds.open().next().is_none() {
                    break;
                }
                self.look()?;
                if self.stopped() {
                    return Err("stopped, as asked".into());
                }
            }
            self.played += 1;
            let deadline = self.progress.now() + HEAL_LIMIT;
            while !self.wounds.healed() {
                self.look()?;
                if self.progress.now() > deadline || self.stopped() {
                    let lacks = self.lacks().unwrap_or_default();
                    return Err(format!(
                        "not healed {} s after all faults were undone: {lacks}",
                        HEAL_LIMIT.as_secs()
                    )
                    .into());
                }
            }
            self.promised = true;
            self.rounds_healed = self.rounds();
        }
        self.learn()
    }

    /// The load goes on until a round has closed after the last fault: a node that was started again
    /// has to see its devices for some seconds before it can take part. The verdict says if none did.
    fn learn(&mut self) -> Result<(), Failure> {
        let deadline = self.progress.now() + HEAL_LIMIT;
        while self.rounds() <= self.rounds_healed
            && self.progress.now() < deadline
            && !self.stopped()
        {
            self.look()?;
        }
        Ok(())
    }

    fn undo_all(&mut self) {
        for index in 0..self.wounds.0.len() {
            if self.wounds.0[index].undone.is_none()
                && let Err(error) = self.undo(index)
            {
                self.failures.push(error.to_string());
            }
        }
    }

    /// Asks the nodes, looks after the wounds, shows what there is, and rests.
    pub(crate) fn look(&mut self) -> Result<(), Failure> {
        self.views = self.house.cluster.status()?;
        let now = self.progress.now();
        let accepted = self.post.book().mails_acknowledged();
        let sights = sights(&self.views);
        self.watch.note(now, self.promised, accepted, &sights);
        let seen: Vec<_> = sights
            .iter()
            .filter_map(|sight| Some((sight.node, sight.status?)))
            .collect();
        let mut said = self.wounds.look(now, NODES, &seen);
        if self.watch.lacks(&sights).is_none() {
            said.extend(self.wounds.whole(now));
        }
        let line = self.line(&sights, accepted);
        for text in said {
            self.progress.say(&text);
        }
        self.progress.show(&line);
        self.revive()?;
        self.fill()?;
        for index in self.wounds.due(self.progress.now()) {
            self.undo(index)?;
        }
        std::thread::sleep(LOOK);
        Ok(())
    }

    /// A node that ended by itself is noted, and started again as an operator would. On a full disk a
    /// node ends as it should, and is started again when there is room.
    fn revive(&mut self) -> Result<(), Failure> {
        let (killed, full) = (self.wounds.killed(), self.wounds.full());
        for index in 0..self.views.len() {
            let view = &self.views[index];
            let node = number(&view.name);
            if view.state != NodeState::Dead || killed.contains(&node) {
                continue;
            }
            let log = self.house.cluster.files(&view.name).log;
            let last = local::logs::tail(&log, LAST_LINES).unwrap_or_default();
            let had_room = !last.contains(NO_ROOM) || !self.wounds.had_full_disk(node);
            if had_room {
                let at = self.progress.now().as_secs_f64();
                let text = format!("{} ended by itself at {at:.1} s", view.name);
                self.progress.say(&text);
                self.ended.push(format!("{text}; see {}", log.display()));
            }
            if had_room || !full.contains(&node) {
                self.house.cluster.start(&name(node))?;
            }
        }
        Ok(())
    }

    fn line(&self, sights: &[Sight<'_>], accepted: u64) -> String {
        let best = best(sights);
        format!(
            "{} of {NODES} answer · mails {accepted} · records {} · ledger {} · rounds {} · key epoch {}",
            sights.iter().filter(|sight| sight.status.is_some()).count(),
            self.post.book().records_acknowledged(),
            best.map_or(0, |status| status.ledger.size),
            best.map_or(0, |status| status.learning.closed),
            self.watch.newest_epoch(),
        )
    }

    /// What the cluster lacks of being whole, as last seen.
    pub(crate) fn lacks(&self) -> Option<String> {
        self.watch.lacks(&sights(&self.views))
    }

    /// Rounds closed, as last seen.
    pub(crate) fn rounds(&self) -> u64 {
        best(&sights(&self.views)).map_or(0, |status| status.learning.closed)
    }

    /// Who leads, as last seen.
    pub(crate) fn leader(&self) -> Option<u8> {
        let leader = best(&sights(&self.views))?.leader.clone()?;
        Some(number(leader.as_str()))
    }

    pub(crate) fn tell(&mut self, stages: &[verdict::Stage]) {
        self.progress.erase();
        println!("\nFaults");
        for line in self.wounds.table() {
            println!("{line}");
        }
        println!("\nWhat happened");
        for stage in stages {
            let word = if stage.ok { "ok  " } else { "FAIL" };
            println!("  {word} {:<10} {}", stage.name, stage.says);
        }
        for (name, figure) in verdict::figures(&self.watch) {
            println!("       {name}: {figure}");
        }
        let restarted = self.watch.restarted();
        if !restarted.is_empty() {
            let names: Vec<&str> = restarted.iter().map(String::as_str).collect();
            println!(
                "       restarted by their supervisors: {}",
                names.join(", ")
            );
        }
    }
}

fn number(name: &str) -> u8 {
    let number = name
        .strip_prefix("node-")
        .and_then(|text| text.parse().ok());
    number.unwrap_or(0)
}

fn best<'a>(sights: &[Sight<'a>]) -> Option<&'a wire::status::Status> {
    sights
        .iter()
        .filter_map(|sight| sight.status)
        .max_by_key(|status| (status.term, status.ledger.size))
}

fn sights(views: &[NodeView]) -> Vec<Sight<'_>> {
    views
        .iter()
        .map(|view| Sight {
            node: number(&view.name),
            status: view.status.as_deref(),
            memory: view.pid.and_then(memory),
        })
        .collect()
}

/// Resident memory of a process, in bytes (proc(5): VmRSS, in KiB).
fn memory(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
