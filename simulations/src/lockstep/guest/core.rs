//! A simulated process's side of the pipes: what it has done at this moment, and the waiting for
//! the next.

use super::disk::Disk;
use super::raw;
use super::{clock, net};
use crate::lockstep::protocol::{Boot, End, Order, Out, Report, Seen, Step, Wish, get, put};
use crate::machines::rng::Dice;
use crate::plan::CrashPoint;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write as _};
use std::os::fd::FromRawFd as _;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Exit code of a process that lost its power.
pub const POWER_LOST: i32 = 77;

struct Core {
    from: BufReader<File>,
    to: BufWriter<File>,
    report: Report,
    armed: Option<Armed>,
    sync_ms: u64,
    wishes: VecDeque<Wish>,
}

/// A power loss that waits for its moment.
struct Armed {
    point: CrashPoint,
    dice: u64,
}

static CORE: Mutex<Option<Core>> = Mutex::new(None);
static DISK: Mutex<Option<Disk>> = Mutex::new(None);
static WISHED: Notify = Notify::const_new();
/// The thread that everything runs on; 0 until boot.
static THREAD: AtomicI32 = AtomicI32::new(0);
static DISK_ON: AtomicBool = AtomicBool::new(false);

fn core() -> MutexGuard<'static, Option<Core>> {
    CORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads who this process is. `fd`s: where the controller speaks and listens.
pub fn boot(from: i32, to: i32) -> io::Result<Boot> {
    let own = |fd| {
        // Out of the way of whatever the process prints and reads.
        let copy = raw::fcntl(fd, libc::F_DUPFD_CLOEXEC, 10).map_err(io::Error::from_raw_os_error);
        #[expect(
            unsafe_code,
            reason = "a descriptor made in this line, owned by nobody else"
        )]
        copy.map(|fd| unsafe { File::from_raw_fd(fd) })
    };
    let (mut from, to) = (BufReader::new(own(from)?), BufWriter::new(own(to)?));
    let boot: Boot = get(&mut from)?;
    clock::set_now(boot.now);
    clock::set_clocks(boot.clocks);
    net::boot(boot.index, boot.life);
    *core() = Some(Core {
        from,
        to,
        report: Report::default(),
        armed: None,
        sync_ms: 0,
        wishes: VecDeque::new(),
    });
    let disk = Disk::new(boot.dir.clone(), boot.attic.clone());
    *DISK.lock().unwrap_or_else(PoisonError::into_inner) = Some(disk);
    THREAD.store(raw::thread(), Ordering::Relaxed);
    Ok(boot)
}

/// From now on the disk is simulated: overrides hand its calls over.
pub fn disk_on() {
    DISK_ON.store(true, Ordering::Relaxed);
}

/// Is this the thread that the simulation steps?
pub fn stepped() -> bool {
    let thread = THREAD.load(Ordering::Relaxed);
    thread != 0 && thread == raw::thread()
}

/// The simulated disk, if it is on.
pub fn disk<T>(work: impl FnOnce(&mut Disk) -> T) -> Option<T> {
    if !DISK_ON.load(Ordering::Relaxed) {
        return None;
    }
    DISK.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .as_mut()
        .map(work)
}

/// Tells the controller what is to be seen.
pub fn see(seen: Seen) {
    if let Some(core) = core().as_mut() {
        core.report.seen.push(seen);
    }
}

/// Sends; the armed power loss may strike before it.
pub(super) fn send(out: Out) {
    let strikes = match core().as_mut() {
        None => return,
        Some(core) => {
            let strikes = matches!(&out, Out::Data(..)) && core.count_send();
            if !strikes {
                core.report.push(out);
            }
            strikes
        }
    };
    if strikes {
        lose_power();
    }
}

impl Report {
    /// Writes of one moment on one connection are one segment.
    fn push(&mut self, out: Out) {
        match (self.out.last_mut(), out) {
            (Some(Out::Data(last, bytes)), Out::Data(conn, more)) if *last == conn => {
                bytes.extend(more);
            }
            (_, out) => self.out.push(out),
        }
    }
}

impl Core {
    fn count_send(&mut self) -> bool {
        match self.armed.as_mut().map(|armed| &mut armed.point) {
            Some(CrashPoint::Send(0)) => true,
            Some(CrashPoint::Send(left)) => {
                *left -= 1;
                false
            }
            Some(CrashPoint::Now | CrashPoint::DiskOperation(_)) | None => false,
        }
    }

    fn exchange(&mut self) -> Step {
        let report = std::mem::take(&mut self.report);
        let told = put(&mut self.to, &report).and_then(|()| self.to.flush());
        // A controller that is gone needs nobody any more.
        match told.and_then(|()| get(&mut self.from)) {
            Ok(step) => step,
            Err(_) => raw::exit(0),
        }
    }
}

/// Nothing is left to do until a timer is due in `timeout` milliseconds of the process's clock, or
/// something comes. Returns when one of them has happened.
pub fn park(timeout: Option<u64>) {
    wait_until(timeout.map(clock::after));
}

/// The process stands in a system call for `ms` of virtual time; what comes meanwhile waits for it.
pub fn stall(ms: u64) {
    let until = clock::now() + ms;
    while clock::now() < until {
        wait_until(Some(until));
    }
}

fn wait_until(next: Option<u64>) {
    let step = {
        let mut core = core();
        let Some(core) = core.as_mut() else { return };
        core.report.next = next;
        core.exchange()
    };
    take(step);
}

fn take(step: Step) {
    clock::set_now(step.now);
    for order in step.orders {
        obey(order);
    }
    for event in step.events {
        net::deliver(event);
    }
}

fn obey(order: Order) {
    match order {
        Order::PowerLoss(CrashPoint::Now, dice) => {
            arm(CrashPoint::Now, dice);
            lose_power();
        }
        Order::PowerLoss(point, dice) => arm(point, dice),
        Order::Clocks(clocks) => clock::set_clocks(clocks),
        Order::DiskRoom(room) => {
            disk(|disk| disk.set_room(room));
        }
        Order::DiskSync(ms) => {
            if let Some(core) = core().as_mut() {
                core.sync_ms = ms;
            }
        }
        Order::Wish(wish) => {
            if let Some(core) = core().as_mut() {
                core.wishes.push_back(wish);
            }
            WISHED.notify_one();
        }
    }
}

fn arm(point: CrashPoint, dice: u64) {
    if let Some(core) = core().as_mut() {
        core.armed = Some(Armed { point, dice });
    }
}

/// What the controller wishes of the program next.
pub async fn wish() -> Wish {
    loop {
        let next = core().as_mut().and_then(|core| core.wishes.pop_front());
        if let Some(wish) = next {
            return wish;
        }
        WISHED.notified().await;
    }
}

/// When the armed power loss strikes in an operation on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// Not in this one.
    Not,
    /// After it was carried out, before the process hears of it.
    After,
}

/// An operation on the disk is about to happen. Does not return if the power goes before it.
pub fn disk_operation() -> Strike {
    let strikes = core().as_mut().and_then(|core| {
        let armed = core.armed.as_mut()?;
        match &mut armed.point {
            CrashPoint::DiskOperation(0) => Some(armed.dice),
            CrashPoint::DiskOperation(left) => {
                *left -= 1;
                None
            }
            CrashPoint::Now | CrashPoint::Send(_) => None,
        }
    });
    match strikes {
        None => Strike::Not,
        Some(dice) if Dice::new(dice).below(2) == 0 => Strike::After,
        Some(_) => lose_power(),
    }
}

/// How long a sync takes.
pub fn sync_ms() -> u64 {
    core().as_ref().map_or(0, |core| core.sync_ms)
}

/// The power goes. What was sent before is on its way all the same.
pub fn lose_power() -> ! {
    let dice = core()
        .as_ref()
        .and_then(|core| core.armed.as_ref().map(|armed| armed.dice));
    let mut dice = Dice::new(dice.unwrap_or(0).wrapping_add(1));
    let lost = disk(|disk| disk.lose_power(&mut dice));
    let what = match lost {
        None => "its disk is not simulated".to_owned(),
        Some(Ok(what)) => what,
        Some(Err(errno)) => format!("the disk could not be set back: errno {errno}"),
    };
    end(End::PowerLoss(what), POWER_LOST)
}

/// The program has returned.
pub fn returned(failure: Option<String>) -> ! {
    end(End::Returned(failure), 0)
}

fn end(end: End, code: i32) -> ! {
    if let Some(core) = core().as_mut() {
        core.report.end = Some(end);
        core.report.next = None;
        // A controller that is gone needs nobody any more.
        let _ = put(&mut core.to, &core.report).and_then(|()| core.to.flush());
    }
    raw::exit(code)
}
