//! The file that flows: every row has a value of its own, and one row cannot be stored.

use std::path::{Path, PathBuf};

pub(super) const CLUSTER: &str = "edge";
const HEADER: &str = "timestamp,metric_name,gpu_id,device,uuid,modelName,Hostname,container,pod,\
                      namespace,value,labels_raw\n";

#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) rows: u64,
    pub(super) size: u64,
}

impl File {
    pub(super) fn write(folder: &Path, rows: u64) -> Self {
        let mut text = HEADER.to_owned();
        for row in 0..rows {
            let gpu = row % 2;
            let time = format!("2025-07-18T20:42:{:02}Z", row / 2);
            text += &format!(
                "{time},DCGM_FI_DEV_GPU_UTIL,{gpu},nvidia{gpu},GPU-{gpu},H100,host,,,,{row},\n"
            );
            if row == 1 {
                text += "no time,DCGM_FI_DEV_GPU_UTIL,0,nvidia0,GPU-0,H100,host,,,,1,\n";
            }
        }
        let path = folder.join("metrics.csv");
        std::fs::write(&path, &text).unwrap();
        Self {
            path,
            rows,
            size: text.len() as u64,
        }
    }
}
