//! Where in an argument something without a content key sits, for people to read.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};

static UNKEYABLE: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// Longer places are shown without their middle.
const SHOWN_STEPS: usize = 12;
const SHOWN_CHARS: usize = 40;

/// One step from a container to what it holds.
pub enum Step {
    Index(usize),
    Member,
    Named(String),
}

impl Step {
    /// To a dict's value.
    pub fn item(key: &Bound<'_, PyAny>) -> Self {
        Self::Named(format!("[{}]", shown(key)))
    }

    /// To a dict's key.
    pub fn key(key: &Bound<'_, PyAny>) -> Self {
        Self::Named(format!(" (its key {})", shown(key)))
    }

    /// To a part that the encoder named.
    pub fn named(places: &Bound<'_, PyTuple>, index: usize) -> Self {
        let name = places.get_item(index).and_then(|name| name.extract());
        Self::Named(name.unwrap_or_default())
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Index(index) => write!(formatter, "[{index}]"),
            Self::Member => write!(formatter, " (one of its members)"),
            Self::Named(name) => write!(formatter, "{name}"),
        }
    }
}

fn shown(key: &Bound<'_, PyAny>) -> String {
    let text = match key.repr() {
        Ok(text) => text.to_string_lossy().into_owned(),
        Err(_) => return "...".to_owned(),
    };
    if text.chars().count() <= SHOWN_CHARS {
        return text;
    }
    format!("{}...", text.chars().take(SHOWN_CHARS).collect::<String>())
}

/// An error on the way out of nested containers; collects the steps, the innermost first.
pub struct Fault {
    error: PyErr,
    steps: Vec<Step>,
}

/// What encoding a node gives; the fault is boxed because it is rare and large.
pub type Outcome = Result<(), Box<Fault>>;

impl From<PyErr> for Box<Fault> {
    fn from(error: PyErr) -> Self {
        Box::new(Fault { error, steps: Vec::new() })
    }
}

impl Fault {
    /// The same fault, seen from the container around it.
    pub fn within(mut self: Box<Self>, step: Step) -> Box<Self> {
        self.steps.push(step);
        self
    }

    /// The error to raise: an `UnkeyableError` says where, any other stays as it is.
    pub fn located(self, py: Python<'_>, root: &str) -> PyErr {
        match unkeyable_type(py) {
            Ok(unkeyable) if self.error.is_instance(py, unkeyable) => {
                let reason = self.error.value(py).to_string();
                let error = PyErr::from_type(
                    unkeyable.clone(),
                    format!("{root}{}: {reason}", place(&self.steps)),
                );
                error.set_cause(py, self.error.cause(py));
                error
            }
            Ok(_) => self.error,
            Err(error) => error,
        }
    }
}

fn place(steps: &[Step]) -> String {
    let text = |steps: &[Step]| steps.iter().rev().map(Step::to_string).collect::<String>();
    if steps.len() <= SHOWN_STEPS {
        return text(steps);
    }
    let half = SHOWN_STEPS / 2;
    format!("{}...{}", text(&steps[steps.len() - half..]), text(&steps[..half]))
}

fn unkeyable_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    UNKEYABLE.import(py, "infercache.errors", "UnkeyableError")
}

/// An `infercache.errors.UnkeyableError`.
pub fn unkeyable(py: Python<'_>, reason: &str) -> PyErr {
    match unkeyable_type(py) {
        Ok(kind) => PyErr::from_type(kind.clone(), reason.to_owned()),
        Err(error) => error,
    }
}
