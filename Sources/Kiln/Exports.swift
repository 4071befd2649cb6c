@_exported import KilnData
@_exported import KilnDevices
@_exported import KilnEngine
@_exported import KilnLayers
@_exported import KilnModels
@_exported import KilnONNX
@_exported import KilnOptimizers
@_exported import KilnTraining
