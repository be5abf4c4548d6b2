//! The only writer to the terminal: data to stdout, everything else to stderr.

mod live;
mod progress;
mod prompt;
mod table;
mod visible;

use std::io::{self, IsTerminal as _, Write as _};

pub use live::Live;
pub use progress::Progress;
pub use prompt::PromptError;
pub use table::{Cell, Coloring, Emphasis, Table};
pub use visible::{visible, visible_in_line};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Only data, warnings and errors.
    Quiet,
    /// What was done, too.
    Normal,
    /// Every step, too.
    Verbose,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorChoice {
    /// When the stream is a terminal and `NO_COLOR` is not set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The terminal as the commands see it.
#[derive(Debug, Clone)]
pub struct Ui {
    verbosity: Verbosity,
    data: Coloring,
    messages: Coloring,
    interactive: bool,
}

impl Ui {
    /// The terminal of this process. `no_color` is whether `NO_COLOR` is set.
    pub fn new(verbosity: Verbosity, choice: ColorChoice, no_color: Option<&str>) -> Self {
        let coloring = |is_terminal: bool| match choice {
            ColorChoice::Always => Coloring::Colored,
            ColorChoice::Auto if is_terminal && no_color.is_none() => Coloring::Colored,
            ColorChoice::Never | ColorChoice::Auto => Coloring::Plain,
        };
        Self {
            verbosity,
            data: coloring(io::stdout().is_terminal()),
            messages: coloring(io::stderr().is_terminal()),
            interactive: io::stdin().is_terminal() && io::stderr().is_terminal(),
        }
    }

    /// Whether somebody sits there who can answer.
    pub const fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Whether steps are wanted.
    pub fn is_verbose(&self) -> bool {
        self.verbosity >= Verbosity::Verbose
    }

    /// Whether standard output is coloured.
    pub const fn data_coloring(&self) -> Coloring {
        self.data
    }

    /// Columns of standard output, if it is a terminal.
    pub fn data_columns(&self) -> Option<usize> {
        if !io::stdout().is_terminal() {
            return None;
        }
        let size = dialoguer::console::Term::stdout().size_checked();
        size.map(|(_, columns)| usize::from(columns))
    }

    /// How wide a table may be on standard output, if it is a terminal: a line that fills the last
    /// column makes some terminals begin another one.
    pub fn table_columns(&self) -> Option<usize> {
        self.data_columns().map(|columns| columns.saturating_sub(1))
    }

    /// Writes data to standard output, with a line end if it has none.
    ///
    /// # Errors
    /// When standard output is closed; the caller should end quietly.
    pub fn data(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    /// Writes a table to standard output.
    ///
    /// # Errors
    /// As [`Self::data`].
    pub fn table(&self, table: &Table) -> io::Result<()> {
        self.data(&table.render(self.data))
    }

    /// Says what was done. Silent with `--quiet`.
    pub fn note(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.line(None, text);
        }
    }

    /// Says a step. Only with `--verbose`.
    pub fn detail(&self, text: &str) {
        if self.is_verbose() {
            self.line(None, text);
        }
    }

    /// Warns.
    pub fn warn(&self, text: &str) {
        self.line(Some(("warning", "33")), text);
    }

    /// Says what is wrong.
    pub fn error(&self, text: &str) {
        self.line(Some(("error", "31")), text);
    }

    /// Says what to do about it.
    pub fn hint(&self, text: &str) {
        self.line(Some(("hint", "36")), text);
    }

    /// Live progress of long work; plain lines where there is no terminal.
    pub fn progress(&self) -> Progress {
        Progress::new(self.clone())
    }

    /// A block that is drawn again in place; nothing where there is no terminal.
    pub fn live(&self) -> Live {
        Live::new(self.interactive && self.verbosity == Verbosity::Normal)
    }

    /// Asks a question that is answered with yes or no; the default is no.
    ///
    /// # Errors
    /// When nobody is there to answer.
    pub fn confirm(&self, question: &str) -> Result<bool, PromptError> {
        prompt::confirm(self.interactive, question)
    }

    /// Asks for a line of text.
    ///
    /// # Errors
    /// When nobody is there to answer.
    pub fn ask(&self, question: &str) -> Result<String, PromptError> {
        prompt::text(self.interactive, question)
    }

    fn line(&self, label: Option<(&str, &str)>, text: &str) {
        let text = visible(text);
        let line = match label {
            Some((word, color)) if self.messages == Coloring::Colored => {
                format!("\u{1b}[1;{color}m{word}:\u{1b}[0m {text}\n")
            }
            Some((word, _)) => format!("{word}: {text}\n"),
            None => format!("{text}\n"),
        };
        // A closed standard error leaves nobody to tell.
        drop(io::stderr().lock().write_all(line.as_bytes()));
    }
}
