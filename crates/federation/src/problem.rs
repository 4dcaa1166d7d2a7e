//! Tests: a federated problem whose optimum is known. Every participant has linear measurements of one
//! vector, `y = ⟨x, w*⟩ + noise`, and takes a few steps of gradient descent on half their mean squared
//! error. Participants differ: each measures a vector a little beside the common one.

use crate::random::SplitMix;

pub(crate) const DIMENSIONS: usize = 10;
const EXAMPLES: usize = 30;
const STEP: f64 = 0.1;

pub(crate) struct Participant {
    x: Vec<Vec<f64>>,
    y: Vec<f64>,
}

pub(crate) struct Problem {
    pub(crate) optimum: Vec<f64>,
    pub(crate) participants: Vec<Participant>,
}

impl Problem {
    /// `spread`: standard deviation of a participant's own vector around the common one, a coordinate.
    pub(crate) fn new(participants: usize, spread: f64, seed: u64) -> Self {
        let mut random = SplitMix::new(seed);
        let optimum = random.normals(DIMENSIONS);
        let participants = (0..participants)
            .map(|_| {
                let own: Vec<f64> = optimum
                    .iter()
                    .map(|w| w + spread * random.normal())
                    .collect();
                let x: Vec<_> = (0..EXAMPLES).map(|_| random.normals(DIMENSIONS)).collect();
                let y = x
                    .iter()
                    .map(|x| dot(x, &own) + 0.1 * random.normal())
                    .collect();
                Participant { x, y }
            })
            .collect();
        Self {
            optimum,
            participants,
        }
    }

    /// Expected loss above the best possible one: inputs have unit covariance.
    pub(crate) fn excess(&self, w: &[f32]) -> f64 {
        self.optimum
            .iter()
            .zip(w)
            .map(|(best, w)| (best - f64::from(*w)).powi(2))
            .sum::<f64>()
            / 2.0
    }
}

impl Participant {
    /// Labels of the opposite sign: what a participant has that poisons its data.
    pub(crate) fn mislabelled(&self) -> Self {
        Self {
            x: self.x.clone(),
            y: self.y.iter().map(|y| -y).collect(),
        }
    }

    pub(crate) fn gradient(&self, w: &[f64]) -> Vec<f64> {
        let mut gradient = vec![0.0; w.len()];
        for (x, y) in self.x.iter().zip(&self.y) {
            let error = dot(x, w) - y;
            for (g, x) in gradient.iter_mut().zip(x) {
                *g += error * x / self.x.len() as f64;
            }
        }
        gradient
    }

    /// What `steps` of gradient descent change.
    pub(crate) fn train(&self, base: &[f32], steps: usize) -> Vec<f32> {
        let mut w: Vec<f64> = base.iter().map(|w| f64::from(*w)).collect();
        for _ in 0..steps {
            let gradient = self.gradient(&w);
            for (w, g) in w.iter_mut().zip(gradient) {
                *w -= STEP * g;
            }
        }
        w.iter()
            .zip(base)
            .map(|(new, old)| (new - f64::from(*old)) as f32)
            .collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
