from .dicom import read_template as read_template, write_dicom as write_dicom
from .hdf5 import write_hdf5 as write_hdf5
from .mrd import send_mrd as send_mrd, write_mrd as write_mrd
from .nifti import write_nifti as write_nifti
from .png import write_png as write_png
from .qc import write_qc as write_qc
from .registry import WRITERS as WRITERS, Format as Format, Writer as Writer
