"""The methods of the package, one file each, written as a plug-in would be."""
