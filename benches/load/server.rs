//! What the server's processes take: the one named and all below it (smbd forks one for each connection).

use std::fs;

/// User and system time in seconds, that of children that have ended included.
pub fn cpu_seconds(root: u32) -> f64 {
    // utime, stime, cutime, cstime (proc_pid_stat(5) fields 14 to 17), in ticks of 10 ms.
    let ticks: u64 = family(root).iter().map(|p| (11..15).map(|field| p.stat(field)).sum::<u64>()).sum();
    ticks as f64 / 100.0
}

/// Proportional set size in bytes: pages that processes share count once.
pub fn memory(root: u32) -> u64 {
    family(root).iter().map(|p| pss(p.pid)).sum()
}

fn pss(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("Pss:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

struct Process {
    pid: u32,
    /// The line behind the program's name: field 3 (state) comes first.
    stat: String,
}

impl Process {
    fn stat(&self, index: usize) -> u64 {
        self.stat.split(' ').nth(index).and_then(|f| f.parse().ok()).unwrap_or(0)
    }
}

fn family(root: u32) -> Vec<Process> {
    let all: Vec<Process> = fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some(Process { pid, stat: stat.rsplit_once(") ")?.1.to_owned() })
        })
        .collect();
    let mut family = vec![root];
    let mut seen = 0;
    while seen < family.len() {
        let parent = u64::from(family[seen]);
        family.extend(all.iter().filter(|p| p.stat(1) == parent).map(|p| p.pid));
        seen += 1;
    }
    all.into_iter().filter(|p| family.contains(&p.pid)).collect()
}
