//! What stage 6 says of its short trainings, recomputed from their answers: the ablation and the finalists.

use super::{STAGE, unusable};
use crate::RunFolder;
use crate::config::Config;
use crate::gates::reader::agree_whole;
use crate::gates::{ArtifactReader, Found, agree};
use crate::stages::refinement::{
    ABLATION, ANALYSIS, Ablation, AblationLine, AblationOutcome, FINALISTS, Finalists,
    ImprovementAnalysis, ShortTraining, TRAININGS, best, best_line, compare, figures, quality,
    seeds, selection,
};
use mlestar_artifact::ContentHash;
use mlestar_tune::{Parameters, StudyReport};
use std::collections::BTreeMap;

/// The short trainings of the stage.
pub(super) struct ShortTrainings(BTreeMap<ContentHash, ShortTraining>);

impl ShortTrainings {
    /// Reads them, and checks that each accuracy is that of its answers.
    pub(super) fn read(reader: &ArtifactReader<'_>) -> Found<Self> {
        let lines: Vec<ShortTraining> = reader.lines(STAGE, TRAININGS)?;
        for training in &lines {
            let Some(answers) = training.answers() else {
                let reason = format!("the answers of {:?} cannot be read", training.label);
                return Err(unusable(TRAININGS, reason));
            };
            let right = answers.iter().filter(|&&right| right).count();
            agree(
                RunFolder::display_name(STAGE, TRAININGS),
                "accuracy",
                training.accuracy,
                right as f64 / answers.len() as f64,
            )?;
            let epochs = training.epochs.iter().map(|epoch| epoch.value);
            agree(
                RunFolder::display_name(STAGE, TRAININGS),
                "the best of its epochs",
                training.accuracy,
                epochs.fold(0.0, f64::max),
            )?;
        }
        let keyed = lines.into_iter().map(|line| (line.key.clone(), line));
        Ok(Self(keyed.collect()))
    }

    fn find(&self, name: &str, key: &ContentHash) -> Found<&ShortTraining> {
        let missing = || unusable(name, format!("{TRAININGS} has no training {}", key.short()));
        self.0.get(key).ok_or_else(missing)
    }
}

/// Checks the ablation against its trainings and the proposals.
pub(super) fn ablation(
    reader: &ArtifactReader<'_>,
    config: &Config,
    trainings: &ShortTrainings,
) -> Found<Ablation> {
    let ablation: Ablation = reader.artifact(STAGE, ABLATION)?;
    let analysis: ImprovementAnalysis = reader.artifact(STAGE, ANALYSIS)?;
    let Some(base) = &ablation.base else {
        return match ablation.lines.is_empty() {
            true => Ok(ablation),
            false => Err(unusable(
                ABLATION,
                "it has changes but nothing to compare them with",
            )),
        };
    };
    let base = trainings.find(ABLATION, base)?;
    let mut expected = ablation.clone();
    expected.accuracy = Some(base.accuracy);
    let proposals = analysis.proposals();
    let n = config.refinement.proposals.min(proposals.len());
    if !(n..=n + 1).contains(&ablation.lines.len()) {
        let reason = format!(
            "it has {} lines; {n} proposals were planned",
            ablation.lines.len()
        );
        return Err(unusable(ABLATION, reason));
    }
    for (line, (finding, proposal)) in expected.lines.iter_mut().zip(&proposals[..n]) {
        *line = AblationLine {
            name: proposal.name.clone(),
            finding: (*finding).to_owned(),
            settings: proposal.settings.clone(),
            gain: Some(proposal.gain),
            cost: proposal.cost,
            outcome: line.outcome.clone(),
        };
    }
    for line in &mut expected.lines {
        if let AblationOutcome::Measured(found) = &line.outcome {
            let changed = trainings.find(ABLATION, &found.training)?;
            let recomputed = compare(base, changed, config.evaluation.confidence)
                .map_err(|error| unusable(ABLATION, error))?;
            line.outcome = AblationOutcome::Measured(recomputed);
        }
    }
    expected.start = best_line(&expected.lines);
    expected.estimates = quality(&expected.lines);
    agree_whole(
        &RunFolder::display_name(STAGE, ABLATION),
        &ablation,
        &expected,
    )?;
    Ok(ablation)
}

/// Checks the finalists against their trainings; the settings that they choose. Where there are none, those of the best
/// trial.
pub(super) fn chosen_settings(
    reader: &ArtifactReader<'_>,
    config: &Config,
    trainings: &ShortTrainings,
    ablation: &Ablation,
    study: &StudyReport,
) -> Found<Parameters> {
    if ablation.base.is_none() || !reader.has_written(STAGE, FINALISTS) {
        let best = study.best_trial().map(|best| best.parameters.clone());
        let mut settings = ablation.start_settings();
        settings.extend(best.unwrap_or_default());
        return Ok(settings);
    }
    let finalists = finalists(reader, config, trainings)?;
    Ok(finalists.candidates[finalists.chosen].settings.clone())
}

/// Checks the finalists against their trainings.
pub(super) fn finalists(
    reader: &ArtifactReader<'_>,
    config: &Config,
    trainings: &ShortTrainings,
) -> Found<Finalists> {
    let finalists: Finalists = reader.artifact(STAGE, FINALISTS)?;
    let find = |keys: &[ContentHash]| -> Found<Vec<ShortTraining>> {
        let found = keys
            .iter()
            .map(|key| trainings.find(FINALISTS, key).cloned());
        found.collect()
    };
    let tried = find(&finalists.tried)?;
    let Some(own) = finalists.candidates.first() else {
        return Err(unusable(FINALISTS, "it has no candidate"));
    };
    let mut expected = finalists.clone();
    expected.seeds = match finalists.candidates.len() {
        1 => finalists.seeds.clone(),
        _ => seeds(config.seed, config.refinement.seeds),
    };
    let of = |training: &ContentHash, with_seeds: &[ContentHash]| match with_seeds.is_empty() {
        true => find(std::slice::from_ref(training)),
        false => find(with_seeds),
    };
    let own_trained = of(&own.training, &own.trainings)?;
    for candidate in &mut expected.candidates {
        let trained = of(&candidate.training, &candidate.trainings)?;
        let first = trainings.find(FINALISTS, &candidate.training)?;
        candidate.name = first.label.clone();
        candidate.figures = figures(&own_trained, &trained, config.evaluation.confidence)
            .map_err(|error| unusable(FINALISTS, error))?;
        if !finalists.tried.contains(&candidate.training) {
            let reason = format!("{} is not among what was tried", candidate.name);
            return Err(unusable(FINALISTS, reason));
        }
    }
    expected.chosen = best(&expected.candidates);
    let tried: Vec<&ShortTraining> = tried.iter().collect();
    expected.selection =
        selection(&tried, config.seed).map_err(|error| unusable(FINALISTS, error))?;
    agree_whole(
        &RunFolder::display_name(STAGE, FINALISTS),
        &finalists,
        &expected,
    )?;
    Ok(finalists)
}
