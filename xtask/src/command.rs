//! Child processes, and what to say when they fail.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ExitCode, ExitStatus, Output, Stdio};

/// A sentence for the terminal and an exit code for scripts.
#[derive(Debug)]
pub(crate) struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            code: 1,
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Adds what was being done to an I/O error.
pub(crate) fn doing<T>(what: impl fmt::Display, result: std::io::Result<T>) -> Result<T, Failure> {
    result.map_err(|error| Failure::new(format!("{what}: {error}")))
}

/// A command that knows how it reads on a terminal.
pub(crate) struct Command {
    inner: std::process::Command,
}

impl Command {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            inner: std::process::Command::new(program),
        }
    }

    pub(crate) fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.inner.arg(argument);
        self
    }

    pub(crate) fn args<I: IntoIterator<Item = impl AsRef<OsStr>>>(
        &mut self,
        arguments: I,
    ) -> &mut Self {
        self.inner.args(arguments);
        self
    }

    pub(crate) fn with(&mut self, name: &str, value: impl AsRef<OsStr>) -> &mut Self {
        self.inner.env(name, value);
        self
    }

    pub(crate) fn without(&mut self, name: &OsString) -> &mut Self {
        self.inner.env_remove(name);
        self
    }

    pub(crate) fn folder(&mut self, folder: &Path) -> &mut Self {
        self.inner.current_dir(folder);
        self
    }

    /// Runs it on our terminal.
    pub(crate) fn run(&mut self) -> Result<(), Failure> {
        let status = doing(self.reads(), self.inner.status())?;
        self.judge(status)
    }

    /// Runs it on our terminal without a standard input to wait for.
    pub(crate) fn run_unattended(&mut self) -> Result<(), Failure> {
        self.inner.stdin(Stdio::null());
        self.run()
    }

    /// Starts it; what it prints goes to our terminal.
    pub(crate) fn start(&mut self) -> Result<std::process::Child, Failure> {
        doing(self.reads(), self.inner.stdin(Stdio::null()).spawn())
    }

    /// Lets its complaints through although its output is captured.
    pub(crate) fn keep_errors(&mut self) -> &mut Self {
        self.inner.stderr(Stdio::inherit());
        self
    }

    /// Runs it silently.
    pub(crate) fn output(&mut self) -> std::io::Result<Output> {
        self.inner.stdin(Stdio::null()).output()
    }

    /// Becomes it: its exit code is ours, and Ctrl-C reaches it directly. Returns only on failure.
    pub(crate) fn become_it(&mut self) -> Failure {
        let error = self.inner.exec();
        Failure::new(format!("{}: {error}", self.reads()))
    }

    /// A failure unless the status is success; the code is passed on.
    pub(crate) fn judge(&self, status: ExitStatus) -> Result<(), Failure> {
        if status.success() {
            return Ok(());
        }
        let code = status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(1);
        Err(Failure {
            text: format!("`{}` ended with {status}", self.reads()),
            code,
        })
    }

    /// As one would type it.
    pub(crate) fn reads(&self) -> String {
        let program = Path::new(self.inner.get_program());
        let name = program.file_name().unwrap_or(program.as_os_str());
        let words = std::iter::once(name).chain(self.inner.get_args());
        words
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }
}
