use thiserror::Error;

/// Why a kernel refuses its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KernelError {
    /// A slice does not hold as many values as its shape says.
    #[error("{what} holds {found} values, but its shape needs {expected}")]
    Length {
        /// Which argument.
        what: &'static str,
        /// Values that the shape needs.
        expected: usize,
        /// Values that are there.
        found: usize,
    },
    /// A shape that no operation can have.
    #[error("{what}: {reason}")]
    Shape {
        /// Which operation or argument.
        what: &'static str,
        /// What is wrong, with the value and the limit.
        reason: String,
    },
}

pub(crate) fn check_length<T>(
    what: &'static str,
    values: &[T],
    expected: usize,
) -> Result<(), KernelError> {
    match values.len() == expected {
        true => Ok(()),
        false => Err(KernelError::Length {
            what,
            expected,
            found: values.len(),
        }),
    }
}
