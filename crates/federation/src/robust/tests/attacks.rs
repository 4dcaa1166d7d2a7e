//! Published attacks on a convex problem: fifteen participants, three of them liars who know what all
//! the honest ones send; and, for rules between the sums of secure groups, twenty-one of whom two lie. The
//! losses are those of `docs/learning-algorithms.md` and `docs/secure-rounds.md`, to the last digit there.

use super::super::*;
use crate::problem::{DIMENSIONS, Problem};
use crate::random::SplitMix;

const PARTICIPANTS: usize = 15;
const LIARS: usize = 3;
/// Of the groups' experiment: seven groups of three, of which two liars can spoil two.
const GROUPED: usize = 21;
const GROUPS: usize = 7;
const GROUPED_LIARS: usize = 2;
const ROUNDS: usize = 60;
const LOCAL_STEPS: usize = 3;
/// Beyond this a run has left for infinity.
const DIVERGED: f64 = 1e3;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Attack {
    None,
    /// The opposite of what training made, ten times as long (Li, Xu, Chen, Giannakis, Ling, AAAI 2019).
    SignFlip,
    /// Trained on labels of the opposite sign (Biggio, Nelson, Laskov 2012, for regression).
    LabelNoise,
    /// Normal noise of standard deviation 200 (Blanchard et al. 2017, §5).
    Gaussian,
    /// The honest mean minus 1.5 standard deviations in each coordinate (Baruch et al. 2019; their z for
    /// 50 participants, 12 of them liars).
    LittleIsEnough,
    /// −ε times the honest mean (Xie, Koyejo, Gupta, UAI 2019), ε = 10: turns the mean around.
    InnerProductLarge,
    /// The same, ε = 0.5: too short to stand out.
    InnerProductSmall,
}

const ATTACKS: [(Attack, &str); 7] = [
    (Attack::None, "none"),
    (Attack::SignFlip, "sign flip ×10"),
    (Attack::LabelNoise, "label noise"),
    (Attack::Gaussian, "Gaussian σ = 200"),
    (Attack::LittleIsEnough, "a little is enough"),
    (Attack::InnerProductLarge, "inner product ε = 10"),
    (Attack::InnerProductSmall, "inner product ε = 0.5"),
];

const RULES: [Rule; 8] = [
    Rule::Mean,
    Rule::NormClip { bound: 0.5 },
    Rule::Median,
    Rule::TrimmedMean,
    Rule::GeometricMedian,
    Rule::Krum,
    Rule::MultiKrum,
    Rule::Bulyan,
];

/// What liars send in place of the first updates.
fn lies(
    attack: Attack,
    problem: &Problem,
    base: &[f32],
    honest: &[Vec<f32>],
    random: &mut SplitMix,
) -> Vec<Vec<f32>> {
    let liars = 0..problem.participants.len() - honest.len();
    let own = |liar: usize| problem.participants[liar].train(base, LOCAL_STEPS);
    let times = |update: Vec<f32>, factor: f32| update.iter().map(|v| factor * v).collect();
    let (mean, deviation) = moments(honest);
    match attack {
        Attack::None => liars.map(own).collect(),
        Attack::SignFlip => liars.map(|liar| times(own(liar), -10.0)).collect(),
        Attack::LabelNoise => liars
            .map(|liar| {
                problem.participants[liar]
                    .mislabelled()
                    .train(base, LOCAL_STEPS)
            })
            .collect(),
        Attack::Gaussian => liars
            .map(|_| {
                random
                    .normals(DIMENSIONS)
                    .iter()
                    .map(|v| 200.0 * *v as f32)
                    .collect()
            })
            .collect(),
        Attack::LittleIsEnough => liars
            .map(|_| {
                mean.iter()
                    .zip(&deviation)
                    .map(|(m, s)| m - 1.5 * s)
                    .collect()
            })
            .collect(),
        Attack::InnerProductLarge => liars.map(|_| times(mean.clone(), -10.0)).collect(),
        Attack::InnerProductSmall => liars.map(|_| times(mean.clone(), -0.5)).collect(),
    }
}

fn moments(updates: &[Vec<f32>]) -> (Vec<f32>, Vec<f32>) {
    let n = updates.len() as f32;
    (0..updates[0].len())
        .map(|at| {
            let mean = updates.iter().map(|u| u[at]).sum::<f32>() / n;
            let variance = updates.iter().map(|u| (u[at] - mean).powi(2)).sum::<f32>() / n;
            (mean, variance.sqrt())
        })
        .unzip()
}

/// Who sees what of the updates.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Seen {
    /// The rule sees each.
    Each,
    /// It sees the means of groups, which change from round to round.
    Groups,
}

/// The means of the groups that an entry of the ledger with this number makes.
fn means_of_groups(updates: &[&[f32]], round: usize) -> Vec<Vec<f32>> {
    let entry = wire::Digest([round as u8; 32]);
    let groups = crate::secagg::terms::groups(updates.len(), GROUPS, entry);
    let mean = |group: Vec<usize>| {
        let at = |at: usize| group.iter().map(|&of| updates[of][at]).sum::<f32>();
        let all = (0..DIMENSIONS).map(|coordinate| at(coordinate) / group.len() as f32);
        all.collect()
    };
    groups.into_iter().map(mean).collect()
}

/// The excess loss after all rounds, the first `liars` participants being some.
fn run(problem: &Problem, attack: Attack, rule: Rule, seen: Seen, liars: usize) -> f64 {
    let mut random = SplitMix::new(99);
    let mut model = vec![0.0_f32; DIMENSIONS];
    for round in 0..ROUNDS {
        let honest: Vec<_> = problem.participants[liars..]
            .iter()
            .map(|participant| participant.train(&model, LOCAL_STEPS))
            .collect();
        let lies = lies(attack, problem, &model, &honest, &mut random);
        let updates: Vec<&[f32]> = lies.iter().chain(&honest).map(Vec::as_slice).collect();
        let means = means_of_groups(&updates, round);
        let updates = match seen {
            Seen::Each => updates,
            Seen::Groups => means.iter().map(Vec::as_slice).collect(),
        };
        let f = if rule == Rule::Mean { 0 } else { liars };
        let step = rule.combine(f, &updates).unwrap();
        for (w, step) in model.iter_mut().zip(step) {
            *w += step as f32;
        }
        if problem.excess(&model) > DIVERGED {
            return f64::INFINITY;
        }
    }
    problem.excess(&model)
}

/// Columns in the order of [`RULES`].
fn losses(attack: Attack) -> Vec<f64> {
    let problem = Problem::new(PARTICIPANTS, 0.2, 5);
    RULES
        .iter()
        .map(|rule| run(&problem, attack, *rule, Seen::Each, LIARS))
        .collect()
}

/// Rules that seven means are enough for with two spoilt ones, the mean first.
const BETWEEN_GROUPS: [Rule; 6] = [
    Rule::Mean,
    Rule::Median,
    Rule::TrimmedMean,
    Rule::GeometricMedian,
    Rule::Krum,
    Rule::MultiKrum,
];

/// Columns in the order of [`BETWEEN_GROUPS`].
fn losses_of_groups(attack: Attack) -> Vec<f64> {
    let problem = Problem::new(GROUPED, 0.2, 5);
    BETWEEN_GROUPS
        .iter()
        .map(|rule| run(&problem, attack, *rule, Seen::Groups, GROUPED_LIARS))
        .collect()
}

const COMPARE_DISTANCES: [Rule; 3] = [Rule::Krum, Rule::MultiKrum, Rule::Bulyan];

#[test]
fn where_plain_averaging_breaks_every_rule_holds() {
    // From 5.4, with nobody lying: 0.013 by the mean, up to 0.15 by Krum, which takes one of fifteen
    // that differ.
    for attack in [
        Attack::SignFlip,
        Attack::Gaussian,
        Attack::LabelNoise,
        Attack::InnerProductLarge,
    ] {
        let losses = losses(attack);
        let broken = if attack == Attack::LabelNoise {
            0.5
        } else {
            DIVERGED
        };
        assert!(
            losses[0] > broken,
            "{attack:?} leaves the mean at {}",
            losses[0]
        );
        for (rule, loss) in RULES.iter().zip(losses).skip(1) {
            assert!(loss < 0.12, "{rule} under {attack:?}: {loss}");
        }
    }
}

/// Lies within the spread of the honest: who chooses by distance chooses the liars, since they lie
/// together, and does worse than who averages. Known from the papers that made these attacks.
#[test]
fn lies_that_do_not_stand_out_get_past_distances() {
    for attack in [Attack::LittleIsEnough, Attack::InnerProductSmall] {
        let losses = losses(attack);
        for (rule, loss) in RULES.iter().zip(&losses) {
            let fails = *loss > 2.0 * losses[0];
            if COMPARE_DISTANCES.contains(rule) {
                assert!(fails, "{rule} under {attack:?}: {loss} and {}", losses[0]);
            }
            assert!(
                *loss < 0.2,
                "{rule} under {attack:?} leaves altogether: {loss}"
            );
        }
        let clipped = RULES
            .iter()
            .zip(&losses)
            .find(|(rule, _)| rule.name() == "norm-clip");
        assert!(
            *clipped.unwrap().1 < 1.1 * losses[0],
            "clipping changes nothing then"
        );
    }
}

/// Two liars spoil at most two means of seven, whatever they send: what holds between updates holds between
/// the sums that are all a secure round shows.
#[test]
fn between_the_means_of_groups_every_rule_holds_where_plain_averaging_breaks() {
    for attack in [
        Attack::SignFlip,
        Attack::LabelNoise,
        Attack::Gaussian,
        Attack::InnerProductLarge,
    ] {
        let losses = losses_of_groups(attack);
        assert!(
            losses[0] > 0.2,
            "{attack:?} leaves the mean at {}",
            losses[0]
        );
        for (rule, loss) in BETWEEN_GROUPS.iter().zip(losses).skip(1) {
            assert!(loss < 0.05, "{rule} under {attack:?}: {loss}");
        }
    }
}

/// A third of a lie is harder to tell from honest means; what it can do is as much smaller.
#[test]
fn lies_that_do_not_stand_out_are_diluted_by_their_group() {
    for attack in [Attack::LittleIsEnough, Attack::InnerProductSmall] {
        for (rule, loss) in BETWEEN_GROUPS.iter().zip(losses_of_groups(attack)) {
            assert!(loss < 0.05, "{rule} under {attack:?}: {loss}");
        }
    }
}

#[test]
fn the_documentation_has_these_figures() {
    let documentation = include_str!("../../../../../docs/learning-algorithms.md");
    documented(documentation, "docs/learning-algorithms.md", &losses);
    let documentation = include_str!("../../../../../docs/secure-rounds.md");
    documented(documentation, "docs/secure-rounds.md", &losses_of_groups);
}

fn documented(documentation: &str, file: &str, losses: &dyn Fn(Attack) -> Vec<f64>) {
    let mut missing = Vec::new();
    for (attack, name) in ATTACKS {
        let losses: Vec<_> = losses(attack)
            .iter()
            .map(|loss| match loss.is_finite() {
                true => format!("{loss:.3}"),
                false => "diverges".to_owned(),
            })
            .collect();
        let line = format!("| {name} | {} |", losses.join(" | "));
        if !documentation.contains(&line) {
            missing.push(line);
        }
    }
    assert!(missing.is_empty(), "{file} lacks\n{}", missing.join("\n"));
}
