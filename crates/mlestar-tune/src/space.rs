//! Search spaces and their values.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::TuneError;

/// One set of values, by key.
pub type Parameters = BTreeMap<String, ParameterValue>;

/// The parameters of a study by key, usually the dotted keys of a configuration
/// (`training.optimizer.learning_rate`).
///
/// ```
/// use mlestar_tune::SearchSpace;
///
/// let space: SearchSpace = toml::from_str(
///     r#"
///     "model.dropout" = { type = "float", low = 0.3, high = 0.7 }
///     "training.batch_size" = { type = "categorical", choices = [64, 128, 256] }
///     "#,
/// )?;
/// space.check()?;
/// assert_eq!(space.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SearchSpace(BTreeMap<String, ParameterSpace>);

impl SearchSpace {
    /// A space of the given parameters, not yet checked.
    pub fn new(parameters: impl IntoIterator<Item = (String, ParameterSpace)>) -> Self {
        Self(parameters.into_iter().collect())
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parameter of that key.
    pub fn get(&self, key: &str) -> Option<&ParameterSpace> {
        self.0.get(key)
    }

    /// Keys and parameters, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ParameterSpace)> {
        self.0.iter().map(|(key, space)| (key.as_str(), space))
    }

    /// Checks every parameter.
    ///
    /// # Errors
    ///
    /// [`TuneError::EmptySpace`] without parameters, and [`TuneError::BadParameter`] with the key for a range
    /// that is empty, not finite, or not positive on a logarithmic scale, for a step that does not fit the range, for
    /// choices that are missing, not finite or given twice, and for a condition on a parameter or value that the space
    /// does not have or that depends on itself.
    pub fn check(&self) -> Result<(), TuneError> {
        if self.0.is_empty() {
            return Err(TuneError::EmptySpace);
        }
        for (key, space) in &self.0 {
            let problem = space.problem().or_else(|| self.condition_problem(space));
            problem.map_or(Ok(()), |message| {
                Err(TuneError::bad_parameter(key, message))
            })?;
        }
        let ordered = self.in_order();
        match self.0.keys().find(|key| !ordered.contains(&key.as_str())) {
            Some(key) => Err(TuneError::bad_parameter(
                key,
                "its conditions (`when`) depend on itself",
            )),
            None => Ok(()),
        }
    }

    /// How the conditions of `space` contradict the other parameters, or `None`.
    fn condition_problem(&self, space: &ParameterSpace) -> Option<String> {
        space.conditions().iter().find_map(|(parent, values)| {
            let Some(parent_space) = self.0.get(parent) else {
                return Some(format!(
                    "`when` names `{parent}`, which is not in the search space"
                ));
            };
            if values.is_empty() {
                return Some(format!("`when` gives no value of `{parent}`"));
            }
            let impossible = values.iter().find(|value| !parent_space.contains(value))?;
            Some(format!(
                "`when` wants `{parent}` = {impossible}, which it cannot be"
            ))
        })
    }

    /// The keys, each after those that its conditions name; a key whose conditions depend on itself is missing.
    fn in_order(&self) -> Vec<&str> {
        let mut ordered: Vec<&str> = Vec::with_capacity(self.0.len());
        loop {
            let before = ordered.len();
            for (key, space) in &self.0 {
                let mut parents = space.conditions().keys();
                if !ordered.contains(&key.as_str())
                    && parents.all(|parent| ordered.contains(&parent.as_str()))
                {
                    ordered.push(key);
                }
            }
            if ordered.len() == before {
                return ordered;
            }
        }
    }

    /// Whether a parameter exists beside these values of the others.
    pub fn exists(&self, key: &str, parameters: &Parameters) -> bool {
        let conditions = self.0.get(key).map(ParameterSpace::conditions);
        conditions.is_some_and(|conditions| {
            conditions
                .iter()
                .all(|(parent, values)| parameters.get(parent).is_some_and(|v| values.contains(v)))
        })
    }

    /// Whether these values are exactly those that the space asks for: each in its range, and none for a parameter
    /// that does not exist beside the others.
    pub fn contains(&self, parameters: &Parameters) -> bool {
        let is_right = |(key, space): (&String, &ParameterSpace)| match parameters.get(key) {
            Some(value) => self.exists(key, parameters) && space.contains(value),
            None => !self.exists(key, parameters),
        };
        parameters.keys().all(|key| self.0.contains_key(key)) && self.0.iter().all(is_right)
    }

    /// The given values, and the suggested ones of all other parameters that exist beside them. Given values of parameters
    /// that do not exist are kept; where no value was suggested, it is the middle of the range.
    pub(crate) fn filled(&self, suggested: &Parameters, given: &Parameters) -> Parameters {
        let mut parameters = given.clone();
        for key in self.in_order() {
            if let Some(space) = self.0.get(key)
                && self.exists(key, &parameters)
                && !parameters.contains_key(key)
            {
                let value = suggested.get(key).cloned().unwrap_or_else(|| space.at(0.5));
                parameters.insert(key.to_owned(), value);
            }
        }
        parameters
    }

    /// The parameters at a point of the unit cube, whose coordinates are in the order of the keys. Coordinates of
    /// parameters that do not exist beside the others are ignored.
    pub(crate) fn at(&self, units: &[f64]) -> Parameters {
        let has_conditions = self.0.values().any(|space| !space.conditions().is_empty());
        let values = self.0.iter().zip(units);
        let all: Parameters = values
            .map(|((key, space), unit)| (key.clone(), space.at(*unit)))
            .collect();
        match has_conditions {
            true => self.filled(&all, &Parameters::new()),
            false => all,
        }
    }

    /// The point of the unit cube where these parameters are, in the order of the keys; `None` for those that do not
    /// exist there.
    pub(crate) fn units(&self, parameters: &Parameters) -> Vec<Option<f64>> {
        self.0
            .iter()
            .map(|(key, space)| space.unit(parameters.get(key)?))
            .collect()
    }
}

/// The values that one parameter may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ParameterSpace {
    /// A real number in `[low, high]`, uniform, or uniform in its logarithm.
    Float {
        /// Lowest value, included.
        low: f64,
        /// Highest value, included.
        high: f64,
        /// Whether to draw the logarithm uniformly; `low` must then be above 0.
        #[serde(default)]
        log: bool,
        /// Distance of neighbouring values, counted from `low`; not with `log`. Without it every number is possible.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<f64>,
        /// When the parameter exists; always where empty.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        when: Conditions,
    },
    /// An integer in `[low, high]`, uniform, or uniform in its logarithm.
    Int {
        /// Lowest value, included.
        low: i64,
        /// Highest value, included.
        high: i64,
        /// Whether to draw the logarithm uniformly; `low` must then be above 0.
        #[serde(default)]
        log: bool,
        /// Distance of neighbouring values, counted from `low`; not with `log`. Without it 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<i64>,
        /// When the parameter exists; always where empty.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        when: Conditions,
    },
    /// One of the given values.
    Categorical {
        /// The values, at least one, none twice.
        choices: Vec<ParameterValue>,
        /// When the parameter exists; always where empty.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        when: Conditions,
    },
}

/// When a parameter exists: every parameter named here must exist and have one of the values given for it.
pub type Conditions = BTreeMap<String, Vec<ParameterValue>>;

impl ParameterSpace {
    /// A real number in `[low, high]`.
    pub fn float(low: f64, high: f64) -> Self {
        Self::Float {
            low,
            high,
            log: false,
            step: None,
            when: Conditions::new(),
        }
    }

    /// A real number in `[low, high]`, uniform in its logarithm.
    pub fn log_float(low: f64, high: f64) -> Self {
        Self::Float {
            low,
            high,
            log: true,
            step: None,
            when: Conditions::new(),
        }
    }

    /// An integer in `[low, high]`.
    pub fn int(low: i64, high: i64) -> Self {
        Self::Int {
            low,
            high,
            log: false,
            step: None,
            when: Conditions::new(),
        }
    }

    /// One of the given values.
    pub fn categorical(choices: impl IntoIterator<Item = ParameterValue>) -> Self {
        Self::Categorical {
            choices: choices.into_iter().collect(),
            when: Conditions::new(),
        }
    }

    /// The same parameter, which exists only where the parameter `key` has one of these values.
    #[must_use]
    pub fn only_when(
        mut self,
        key: impl Into<String>,
        values: impl IntoIterator<Item = ParameterValue>,
    ) -> Self {
        let (Self::Float { when, .. } | Self::Int { when, .. } | Self::Categorical { when, .. }) =
            &mut self;
        when.insert(key.into(), values.into_iter().collect());
        self
    }

    /// When the parameter exists.
    pub fn conditions(&self) -> &Conditions {
        match self {
            Self::Float { when, .. } | Self::Int { when, .. } | Self::Categorical { when, .. } => {
                when
            }
        }
    }

    /// How many values it can have; `None` for a real number without steps.
    pub fn n_values(&self) -> Option<u64> {
        match self {
            Self::Float { step: None, .. } => None,
            Self::Float {
                low,
                high,
                step: Some(step),
                ..
            } => Some(n_steps(*low, *high, *step) + 1),
            Self::Int {
                low, high, step, ..
            } => Some(high.abs_diff(*low) / step.unwrap_or(1).unsigned_abs().max(1) + 1),
            Self::Categorical { choices, .. } => Some(choices.len() as u64),
        }
    }

    /// What is wrong with this parameter, or `None`.
    fn problem(&self) -> Option<String> {
        match self {
            Self::Float {
                low,
                high,
                log,
                step,
                ..
            } => {
                let range = range_problem(low, high, *log && *low <= 0.0);
                let finite = low.is_finite() && high.is_finite();
                (!finite)
                    .then(|| format!("low = {low} and high = {high} must be finite numbers"))
                    .or(range)
                    .or_else(|| step_problem(step.as_ref(), &0.0, &(high - low), *log))
                    .or_else(|| {
                        let step = (*step)?;
                        let too_many = (high - low) / step > 1e15;
                        too_many.then(|| format!("step = {step} gives more than 1e15 values"))
                    })
            }
            Self::Int {
                low,
                high,
                log,
                step,
                ..
            } => {
                // Wider ranges would lose precision when converted to a real number in [0, 1].
                let too_wide = high.checked_sub(*low).is_none_or(|width| width > 1 << 50);
                range_problem(low, high, *log && *low <= 0)
                    .or_else(|| {
                        too_wide.then(|| format!("low = {low} to high = {high} is wider than 2^50"))
                    })
                    .or_else(|| step_problem(step.as_ref(), &0, &(high - low), *log))
            }
            Self::Categorical { choices, .. } => choices_problem(choices),
        }
    }

    /// Whether this parameter can have that value.
    ///
    /// ```
    /// use mlestar_tune::{ParameterSpace, ParameterValue};
    ///
    /// let space = ParameterSpace::float(0.0, 1.0);
    /// assert!(space.contains(&ParameterValue::Float(0.5)));
    /// assert!(!space.contains(&ParameterValue::Float(1.5)));
    /// ```
    pub fn contains(&self, value: &ParameterValue) -> bool {
        match self {
            Self::Float {
                low, high, step, ..
            } => value.as_f64().is_some_and(|v| {
                let is_step = |step: f64| {
                    let nearest = low + ((v - low) / step).round() * step;
                    (v - nearest).abs() <= 1e-9 * step
                };
                (*low..=*high).contains(&v) && step.is_none_or(is_step)
            }),
            Self::Int {
                low, high, step, ..
            } => value.as_i64().is_some_and(|v| {
                let is_step = |step: i64| v.abs_diff(*low).is_multiple_of(step.unsigned_abs());
                (*low..=*high).contains(&v) && step.is_none_or(is_step)
            }),
            Self::Categorical { choices, .. } => choices.contains(value),
        }
    }

    /// The value at `unit`, which is in `[0, 1]`; all choices have the same share.
    pub(crate) fn at(&self, unit: f64) -> ParameterValue {
        let unit = unit.clamp(0.0, 1.0);
        match self {
            Self::Float {
                low,
                high,
                step: Some(step),
                ..
            } => {
                let index = index_at(unit, n_steps(*low, *high, *step));
                ParameterValue::Float((low + index as f64 * step).clamp(*low, *high))
            }
            Self::Float { low, high, log, .. } => {
                let value = if *log {
                    (low.ln() + unit * (high.ln() - low.ln())).exp()
                } else {
                    // Weighted so that even the range of f64 does not overflow.
                    low * (1.0 - unit) + high * unit
                };
                ParameterValue::Float(value.clamp(*low, *high))
            }
            Self::Int {
                low,
                high,
                step: Some(step),
                ..
            } => {
                let index = index_at(unit, high.abs_diff(*low) / step.unsigned_abs());
                ParameterValue::Int(low + index as i64 * step)
            }
            Self::Int { low, high, log, .. } => {
                let (from, to) = int_edges(*low, *high, *log);
                let edge = from + unit * (to - from);
                let value = if *log { edge.exp() } else { edge };
                ParameterValue::Int((value.round() as i64).clamp(*low, *high))
            }
            Self::Categorical { choices, .. } => {
                let index = (unit * choices.len() as f64) as usize;
                choices[index.min(choices.len() - 1)].clone()
            }
        }
    }

    /// The inverse of [`Self::at`]; a value outside the range counts as the nearest end. `None` for a value of
    /// another kind.
    pub(crate) fn unit(&self, value: &ParameterValue) -> Option<f64> {
        let unit = match self {
            Self::Float {
                low,
                high,
                step: Some(step),
                ..
            } => {
                let index = (value.as_f64()? - low) / step;
                unit_of(index, n_steps(*low, *high, *step))
            }
            Self::Float {
                low,
                high,
                log: true,
                ..
            } => (value.as_f64()?.max(*low).ln() - low.ln()) / (high.ln() - low.ln()),
            Self::Float {
                low,
                high,
                log: false,
                ..
            } => {
                // Halved first, so that even the range of f64 does not overflow.
                (value.as_f64()? / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)
            }
            Self::Int {
                low,
                high,
                step: Some(step),
                ..
            } => {
                let index = (value.as_i64()?.saturating_sub(*low)) as f64 / *step as f64;
                unit_of(index, high.abs_diff(*low) / step.unsigned_abs())
            }
            Self::Int { low, high, log, .. } => {
                let (from, to) = int_edges(*low, *high, *log);
                let value = value.as_i64()?.max(*low) as f64;
                ((if *log { value.ln() } else { value }) - from) / (to - from)
            }
            Self::Categorical { choices, .. } => {
                let index = choices.iter().position(|choice| choice == value)?;
                (index as f64 + 0.5) / choices.len() as f64
            }
        };
        Some(unit.clamp(0.0, 1.0))
    }

    /// The value converted to this parameter's type: an integer given for a real number becomes real.
    pub(crate) fn coerce(&self, value: &ParameterValue) -> Result<ParameterValue, String> {
        let found = || format!("found {value}");
        match self {
            Self::Float { .. } => value
                .as_f64()
                .filter(|v| v.is_finite())
                .map(ParameterValue::Float)
                .ok_or_else(|| format!("must be a finite number, {}", found())),
            Self::Int { .. } => value
                .as_i64()
                .map(ParameterValue::Int)
                .ok_or_else(|| format!("must be a whole number, {}", found())),
            Self::Categorical { .. } => Ok(value.clone()),
        }
    }
}

/// How many steps fit between `low` and `high`. The last one may end a rounding error above `high`.
fn n_steps(low: f64, high: f64, step: f64) -> u64 {
    ((high - low) / step + 1e-9).floor() as u64
}

/// The index in `0..=last` at `unit`; all have the same share.
fn index_at(unit: f64, last: u64) -> u64 {
    ((unit * (last as f64 + 1.0)) as u64).min(last)
}

/// The inverse of [`index_at`]: the middle of the share of `index`.
fn unit_of(index: f64, last: u64) -> f64 {
    (index + 0.5) / (last as f64 + 1.0)
}

fn step_problem<T: PartialOrd + fmt::Display>(
    step: Option<&T>,
    zero: &T,
    width: &T,
    log: bool,
) -> Option<String> {
    let step = step?;
    if log {
        Some("step cannot be combined with a logarithmic scale: list the values as choices".into())
    } else if !(step > zero && step <= width) {
        Some(format!(
            "step = {step} must be above 0 and at most high - low = {width}"
        ))
    } else {
        None
    }
}

/// Half a step beyond the ends, so that the ends are drawn as often as the values between them.
fn int_edges(low: i64, high: i64, log: bool) -> (f64, f64) {
    let (from, to) = (low as f64 - 0.5, high as f64 + 0.5);
    if log {
        (from.ln(), to.ln())
    } else {
        (from, to)
    }
}

fn range_problem<T: PartialOrd + fmt::Display>(
    low: &T,
    high: &T,
    log_without_positive: bool,
) -> Option<String> {
    if low >= high {
        Some(format!("low = {low} must be below high = {high}"))
    } else if log_without_positive {
        Some(format!(
            "low = {low} must be above 0 on a logarithmic scale"
        ))
    } else {
        None
    }
}

fn choices_problem(choices: &[ParameterValue]) -> Option<String> {
    if choices.is_empty() {
        return Some("choices is empty: give at least one value".to_owned());
    }
    choices.iter().enumerate().find_map(|(index, choice)| {
        if !choice.is_finite() {
            Some(format!("choice {choice} is not a finite number"))
        } else if choices[..index].contains(choice) {
            Some(format!("choice {choice} is given twice"))
        } else {
            None
        }
    })
}

/// A value of a parameter. In files it is a plain number, string or boolean, or a list or table of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ParameterValue {
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A real number.
    Float(f64),
    /// A word, such as the name of an optimizer.
    Text(String),
    /// Several values, such as the widths of a network's layers.
    List(Vec<ParameterValue>),
    /// Several config values that are chosen together.
    Table(BTreeMap<String, ParameterValue>),
}

impl ParameterValue {
    /// The number, integer or real.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// The integer.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The word.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(value) => Some(value),
            _ => None,
        }
    }

    /// True or false.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }
}

impl ParameterValue {
    /// Whether every real number in it is finite.
    fn is_finite(&self) -> bool {
        match self {
            Self::Float(value) => value.is_finite(),
            Self::List(values) => values.iter().all(Self::is_finite),
            Self::Table(values) => values.values().all(Self::is_finite),
            Self::Bool(_) | Self::Int(_) | Self::Text(_) => true,
        }
    }
}

impl From<bool> for ParameterValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for ParameterValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for ParameterValue {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for ParameterValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl fmt::Display for ParameterValue {
    /// As in a TOML file: `0.001`, `128`, `"adam"`, `true`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(formatter, "{value}"),
            Self::Int(value) => write!(formatter, "{value}"),
            Self::Float(value) => write!(formatter, "{value:?}"),
            Self::Text(value) => write!(formatter, "{value:?}"),
            Self::List(values) => {
                formatter.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(formatter, "{comma}{value}")?;
                }
                formatter.write_str("]")
            }
            Self::Table(values) => {
                formatter.write_str("{")?;
                for (index, (key, value)) in values.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(formatter, "{comma} {key:?} = {value}")?;
                }
                formatter.write_str(" }")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &str) {
        let space: SearchSpace = toml::from_str(text).unwrap();
        assert_eq!(space.check().unwrap_err().to_string(), expected);
    }

    #[test]
    fn bad_spaces_are_named() {
        check(
            "",
            "search space is empty: give at least one parameter to search",
        );
        check(
            "x = { type = 'float', low = 1.0, high = 1.0 }",
            "search space, `x`: low = 1 must be below high = 1",
        );
        check(
            "x = { type = 'float', low = 0.0, high = 1.0, log = true }",
            "search space, `x`: low = 0 must be above 0 on a logarithmic scale",
        );
        check(
            "x = { type = 'float', low = nan, high = 1.0 }",
            "search space, `x`: low = NaN and high = 1 must be finite numbers",
        );
        check(
            "x = { type = 'int', low = -1, high = 4, log = true }",
            "search space, `x`: low = -1 must be above 0 on a logarithmic scale",
        );
        check(
            "x = { type = 'int', low = -9223372036854775808, high = 9223372036854775807 }",
            "search space, `x`: low = -9223372036854775808 to high = 9223372036854775807 is wider than 2^50",
        );
        check(
            "x = { type = 'categorical', choices = [] }",
            "search space, `x`: choices is empty: give at least one value",
        );
        check(
            "x = { type = 'categorical', choices = ['a', 'b', 'a'] }",
            "search space, `x`: choice \"a\" is given twice",
        );
        check(
            "x = { type = 'categorical', choices = [1.0, inf] }",
            "search space, `x`: choice inf is not a finite number",
        );
    }

    #[test]
    fn unknown_keys_and_types_are_refused() {
        let error = toml::from_str::<SearchSpace>("x = { type = 'float', low = 0.0, hihg = 1.0 }")
            .unwrap_err();
        assert!(error.to_string().contains("hihg"), "{error}");
        let error = toml::from_str::<SearchSpace>("x = { type = 'flaot', low = 0.0, high = 1.0 }")
            .unwrap_err();
        assert!(error.to_string().contains("flaot"), "{error}");
    }

    #[test]
    fn values_keep_their_kind_through_json() {
        for value in [
            ParameterValue::Bool(true),
            ParameterValue::Int(1),
            ParameterValue::Float(1.0),
            ParameterValue::Text("1".to_owned()),
        ] {
            let json = serde_json::to_string(&value).unwrap();
            assert_eq!(
                serde_json::from_str::<ParameterValue>(&json).unwrap(),
                value
            );
        }
    }

    #[test]
    fn every_whole_number_has_the_same_share() {
        let space = ParameterSpace::int(1, 4);
        let mut counts = [0; 4];
        for step in 0..4000 {
            let value = space.at((f64::from(step) + 0.5) / 4000.0).as_i64().unwrap();
            counts[usize::try_from(value - 1).unwrap()] += 1;
        }
        assert_eq!(counts, [1000; 4]);
    }

    proptest! {
        #[test]
        fn the_unit_interval_maps_into_the_space_and_back(unit in 0.0..=1.0_f64, low in 1e-6..10.0_f64, width in 1e-3..1e3_f64, log: bool) {
            let space = if log { ParameterSpace::log_float(low, low + width) } else { ParameterSpace::float(low, low + width) };
            let value = space.at(unit);
            prop_assert!(space.contains(&value));
            prop_assert!((space.unit(&value).unwrap() - unit).abs() < 1e-6);
        }

        #[test]
        fn whole_numbers_survive_the_unit_interval(low in -1000..1000_i64, width in 1..1000_i64, step in 0..1000_i64) {
            let space = ParameterSpace::int(low, low + width);
            let value = ParameterValue::Int(low + step % (width + 1));
            prop_assert_eq!(space.at(space.unit(&value).unwrap()), value);
        }
    }
}
