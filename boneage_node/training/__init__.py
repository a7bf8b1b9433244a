"""From labelled radiographs to a model in the zoo: data, augmentation, fitting, evaluation."""
