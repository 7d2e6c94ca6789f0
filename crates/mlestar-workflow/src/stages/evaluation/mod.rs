//! Stage 5, results evaluation: how the trained model performs on images that it has never seen.

mod artifact;
mod drawings;
mod mistakes;
mod page;

pub use artifact::{ClassCurves, EvaluationResults, Mistake, PrecisionRecallPoints, RocPoints};
pub(crate) use drawings::Drawings;
pub(crate) use page::sections;

use crate::stages::implementation::TrainingSummary;
use crate::stages::situation_analysis::{self, SituationAnalysis};
use crate::{Stage, StageContext, WorkflowError, predictions};
use mlestar_artifact::{ContentHash, write_artifact};
use mlestar_data::ImageSet;
use mlestar_eval::{Predictions, precision_recall_curve, roc_curve, summarize};
use mlestar_model::ImageClassifier;
use mlestar_train::checkpoint;

/// The figures of an evaluation: a file of its stage's folder.
pub const RESULTS: &str = "evaluation_results.json";
/// Every mistake with its file: a file of its stage's folder.
pub(crate) const MISTAKES: &str = "mistakes.csv";
/// The folder of an evaluation's charts in its stage's folder.
pub(crate) const DRAWINGS: &str = "visualizations/";

/// Curves are thinned to this many points: more cannot be seen.
const CURVE_POINTS: usize = 200;
/// With many classes each curve has fewer points: about this many together, which keeps the file small.
const ALL_CURVE_POINTS: usize = 200_000;
/// Points that a curve has at least.
const FEWEST_CURVE_POINTS: usize = 10;

/// Evaluates the best checkpoint of stage 4 on the test images.
///
/// # Errors
/// When the checkpoint or the data cannot be read, or the run folder cannot be written.
pub fn run(context: &mut StageContext<'_>) -> Result<(), WorkflowError> {
    let summary: TrainingSummary =
        context.upstream(Stage::Implementation, "training_summary.json")?;
    let weights =
        context.upstream_path(Stage::Implementation, "checkpoints/best/model.safetensors")?;
    let model: ImageClassifier =
        checkpoint::load_weights(&weights, &summary.model, context.device)?;
    let test = context.read_test("figures of the baseline")?;
    let logits = context.logits("predicting", &model, &test, &summary.normalization)?;
    context.check_stop()?;
    let predictions = predictions::write(&context.path("predictions.jsonl"), &test, &logits)?;
    let evaluation = Evaluation::of(
        context,
        &predictions,
        &test,
        ContentHash::of_file(&weights)?,
    )?;
    evaluation.write(context, &predictions, &test)?;
    let warnings = flattering(context)?;
    for warning in &warnings {
        context.reporter.note(warning);
    }
    let page = page::render(context.config, &evaluation, &predictions, &test, &warnings)?;
    context.write_text("evaluation_report.html", &page)
}

/// The findings of stage 1 that make the accuracy on test images too good.
fn flattering(context: &StageContext<'_>) -> Result<Vec<String>, WorkflowError> {
    let analysis: SituationAnalysis =
        context.upstream(Stage::SituationAnalysis, situation_analysis::ARTIFACT)?;
    let found = analysis.challenges.into_iter();
    Ok(found
        .filter(|challenge| situation_analysis::FLATTERING.contains(&challenge.id.as_str()))
        .map(|challenge| format!("{}: {}", challenge.title, challenge.statement))
        .collect())
}

/// The evaluation of one model's predictions: of the baseline here, and of the final model in stage 6.
pub(crate) struct Evaluation {
    pub(crate) results: EvaluationResults,
    pub(crate) drawings: Drawings,
}

impl Evaluation {
    /// Evaluates the predictions of the model whose weights have the hash `model`.
    pub(crate) fn of(
        context: &StageContext<'_>,
        predictions: &Predictions,
        test: &ImageSet,
        model: ContentHash,
    ) -> Result<Self, WorkflowError> {
        let results = EvaluationResults::of(
            predictions,
            test.classes(),
            |index| test.origin(index).to_string(),
            context.config.evaluation.confidence,
            model,
        )?;
        let drawings = Drawings::of(&results)?;
        Ok(Self { results, drawings })
    }

    /// Writes the figures, each chart and the list of mistakes into the folder of the running stage.
    pub(crate) fn write(
        &self,
        context: &StageContext<'_>,
        predictions: &Predictions,
        test: &ImageSet,
    ) -> Result<(), WorkflowError> {
        write_artifact(&context.path(RESULTS), &self.results)?;
        let origin = |index| test.origin(index).to_string();
        let list = mistakes::list(predictions, test.classes(), origin);
        context.write_text(MISTAKES, &list)?;
        for (name, drawing) in self.drawings.named() {
            context.write_text(&format!("{DRAWINGS}{name}.svg"), drawing.as_str())?;
        }
        Ok(())
    }
}

impl EvaluationResults {
    /// Evaluates the predictions of the model whose weights have the hash `model`. `origin` says where an image comes
    /// from.
    pub(crate) fn of(
        predictions: &Predictions,
        classes: &[String],
        origin: impl Fn(usize) -> String,
        confidence: f64,
        model: ContentHash,
    ) -> Result<Self, WorkflowError> {
        Ok(Self {
            model,
            summary: summarize(predictions, classes, confidence)?,
            curves: curves(predictions, classes)?,
            mistakes: mistakes::most_confident(predictions, classes, origin),
        })
    }
}

/// One-versus-rest ROC and precision-recall curves, one entry per class.
fn curves(
    predictions: &Predictions,
    classes: &[String],
) -> Result<Vec<ClassCurves>, WorkflowError> {
    let n_points =
        (ALL_CURVE_POINTS / classes.len().max(1)).clamp(FEWEST_CURVE_POINTS, CURVE_POINTS);
    let mut curves = Vec::new();
    for (index, class) in classes.iter().enumerate() {
        let (truth, scores) = predictions.one_vs_rest(index)?;
        let roc = roc_curve(&truth, &scores)?.map(|curve| {
            let curve = curve.thinned(n_points);
            RocPoints {
                false_positive_rate: curve.false_positive_rate,
                true_positive_rate: curve.true_positive_rate,
            }
        });
        let precision_recall = precision_recall_curve(&truth, &scores)?.map(|curve| {
            let curve = curve.thinned(n_points);
            PrecisionRecallPoints {
                recall: curve.recall,
                precision: curve.precision,
            }
        });
        curves.push(ClassCurves {
            class: class.clone(),
            roc,
            precision_recall,
        });
    }
    Ok(curves)
}
