//! The solver of this machine.

use crate::analysis::symbolic::NoSolver;
use crate::analysis::symbolic::Program;
use crate::config::env;

/// The solver that `CVC5` names, else `cvc5` in `PATH`.
///
/// # Errors
/// When there is none.
pub fn find() -> Result<Program, NoSolver> {
    Program::find(env::solver().as_deref(), &env::program_folders())
}
