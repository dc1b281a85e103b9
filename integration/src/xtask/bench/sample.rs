//! Medians, and what a process uses.

use anyhow::{Context, Result};

/// The middle of some figures.
pub(super) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What a process has used so far.
pub(super) struct Usage {
    /// Resident memory, in MB.
    pub(super) resident: f64,
    /// User and system time, in seconds.
    pub(super) cpu: f64,
}

impl Usage {
    /// Reads `/proc`.
    pub(super) fn of(pid: u32) -> Result<Self> {
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
        let pages: f64 = statm.split(' ').nth(1).context("no second field in statm")?.parse()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The second field is the program's name in brackets and may hold spaces.
        let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        let ticks: f64 = ticks.sum::<Result<_, _>>()?;
        Ok(Self { resident: pages * 4096.0 / 1e6, cpu: ticks / 100.0 })
    }
}

/// The most resident memory that a process has had, in MB, since the last [`forget_peak`].
pub(super) fn peak(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")).context("no VmHWM")?;
    Ok(kilobytes.trim().parse::<f64>()? * 1024.0 / 1e6)
}

/// Counts the most memory of a process from now on.
pub(super) fn forget_peak(pid: u32) -> Result<()> {
    Ok(std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
}

/// The CPU time of all threads of a process so far, in ns.
pub(super) fn cpu(pid: u32) -> Result<f64> {
    let mut all = 0.0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end meanwhile; what it used is lost, and no such thread does much.
        let Ok(figures) = std::fs::read_to_string(thread?.path().join("schedstat")) else {
            continue;
        };
        let on_cpu = figures.split(' ').next().context("nothing in schedstat")?;
        all += on_cpu.parse::<f64>()?;
    }
    Ok(all)
}

/// The CPU time of the thread that asks so far, in ns.
pub(super) fn cpu_of_thread() -> Result<f64> {
    let figures = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(figures.split(' ').next().context("nothing in schedstat")?.parse()?)
}
